-- A day is compared with its events, and counted again, without reading all the others.
CREATE INDEX user_daily_by_day ON user_daily (day, kind);
CREATE INDEX post_daily_by_day ON post_daily (day, kind);
