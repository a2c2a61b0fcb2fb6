-- What users said about themselves with their presence. Whether they are there is not kept.

create table presence_statuses (
  user_nid integer primary key references users,
  status_msg text not null
);
