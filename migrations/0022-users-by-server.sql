-- Which rooms a server is in is asked by the users it has.
create index users_server on users (substr(user_id, position(':' in user_id) + 1));
