DROP TABLE IF EXISTS platform.sessions;
