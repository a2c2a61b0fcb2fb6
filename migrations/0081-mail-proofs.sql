-- What proving a mail address needs beside 0063.

-- The proof that the session's stage m.login.email.identity has taken: mail_validations.
alter table interactive_sessions add column mail_sid text;

create index mail_validations_token on mail_validations (token_hash) where token_hash is not null;
