-- How often a digest was not taken by the mail server.
alter table mail_digests add column failures integer not null default 0;
-- What the link in its mails ends a pusher with.
alter table pushers add column unsubscribe_token text unique;
