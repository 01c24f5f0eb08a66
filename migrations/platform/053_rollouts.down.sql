DROP TABLE IF EXISTS platform.rollout_samples;
DROP TABLE IF EXISTS platform.rollout_events;
DROP TABLE IF EXISTS platform.rollouts;
