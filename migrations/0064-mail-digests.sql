-- What is to be told to users by mail, gathered until it is sent.
create table mail_digests (
  pusher bigint primary key references pushers on delete cascade,
  -- When the first of them came. Milliseconds.
  since bigint not null,
  -- When the mail is to be sent.
  due_at bigint not null,
  -- A JSON array of what each event is told of.
  items text not null
);
create index mail_digests_due on mail_digests (due_at);
