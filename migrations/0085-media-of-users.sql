-- What a user has uploaded, and what came from other servers, by age: for administrators.
create index media_uploader on media (uploader, created_at);
