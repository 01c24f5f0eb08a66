DROP TABLE IF EXISTS platform.person_sessions;
