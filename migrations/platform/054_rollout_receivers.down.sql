DROP TABLE IF EXISTS platform.rollout_receivers;
