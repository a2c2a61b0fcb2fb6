-- Finding users by their names: words are compared without case and accents. The name is taken out of the profile by its
-- text, since not every JSON text is one to PostgreSQL; what is ASCII and neither letter nor digit only separates words.

create function searchable_name(fields text) returns tsvector
  language sql immutable strict parallel safe
  return to_tsvector('simple', regexp_replace(regexp_replace(
    normalize(lower(substring(fields from '"displayname":"((?:[^"\\]|\\.)*)"')), nfkd),
    '[\u0300-\u036f]', '', 'g'),
    '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u007f]+', ' ', 'g'));

create index profiles_name on profiles using gin (searchable_name(fields)) with (fastupdate = off);

create index published_rooms_room on published_rooms (room);
