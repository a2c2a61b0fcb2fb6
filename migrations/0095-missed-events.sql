-- What a server missed while it could not be reached: of what came after the one position, up to the other, it is told only how
-- each room stands now. What came later is told as ever.
alter table destinations add column missed_after bigint;
alter table destinations add column missed_up_to bigint;
