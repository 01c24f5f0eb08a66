DROP TABLE IF EXISTS platform.flags;
