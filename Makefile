# The few commands everybody needs. Each is a script or a line of cargo; nothing is installed into the clone.
.DEFAULT_GOAL := help
.PHONY: help run demo test soak gateway check bench site screenshots dist up down

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

run: ## build and serve on http://127.0.0.1:8080, with a database of its own under ./data
	@scripts/install-tools build
	@PATH="$$PATH:$$HOME/.cargo/bin" cargo run --locked --profile quick -- serve

demo: ## give what `make run` serves a past to look at, and print a key that opens its pages
	@target/quick/progress-service demo seed --statements 2000 --months 2 --apply
	@target/quick/progress-service credentials create --tenant demo-1 --label demo --scopes 'all admin:*'
	@echo 'sign in with it at http://127.0.0.1:8080/admin'

test: ## everything the tests need, then all tests, then stop it
	@scripts/test

soak: ## proofs that take long: a backfill and upgrades of 3,000,000 rows, pages over 10,000,000 statements (docs/soak.md)
	@scripts/install-tools build test
	@TEST_SOAK_ROWS=$${TEST_SOAK_ROWS:-3000000} TEST_SOAK_STATEMENTS=$${TEST_SOAK_STATEMENTS:-10000000} \
		scripts/with-services cargo test --locked --test it -- --nocapture --test-threads 1 \
		backfills::kills:: migrate::figures:: migrate::harmless:: pages::cost::

gateway: ## lints and tests of the archive's gateway, whose engine takes long to build
	@scripts/install-tools build test
	@cargo clippy --locked --package progress-gateway --all-targets -- -D warnings
	@scripts/with-services cargo test --locked --package progress-gateway --no-fail-fast

check: ## form, lints, licences, advisories, documentation
	@scripts/check

bench: ## benchmarks, against servers of their own; half an hour (docs/performance.md)
	@scripts/install-tools build test
	@scripts/with-services cargo bench --locked

site: ## the documentation as a site of plain files with a search, in target/site
	@scripts/site/build

screenshots: ## the pictures of the tutorial anew, in docs/pictures: look at them before you commit them
	@scripts/install-tools build test browser
	@scripts/with-services tests/pages/run pictures

dist: ## a tarball and a Debian package of the release build, and the Helm chart, in target/dist
	@scripts/install-tools build
	@PATH="$$PATH:$$HOME/.cargo/bin" scripts/dist/build

up: ## the service with PostgreSQL, Kafka and object storage in containers
	docker compose up --build --detach --wait
	@echo "a first key: docker compose exec progress progress-service credentials create --label first"

down: ## stop the containers; their volumes stay
	docker compose down
