# The service in a small image, run by a user without rights. The build needs nothing but this folder.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc g++ libc6-dev make pkg-config libssl-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Dependencies first, over empty packages: this layer is rebuilt only when they change.
COPY Cargo.toml Cargo.lock ./
COPY src/xapi/Cargo.toml src/xapi/
COPY benches benches
RUN echo 'fn main() {}' | tee src/main.rs build.rs && touch src/lib.rs src/xapi/mod.rs \
 && cargo build --locked --release && rm -r src
COPY build.rs ./
COPY src src
COPY migrations migrations
COPY schemas schemas
# Newer than what the empty crate left behind.
RUN touch build.rs src/main.rs src/lib.rs src/xapi/mod.rs && cargo build --locked --release --bin progress-service

# Chinese, Japanese and Korean names in transcripts need a font of the system; other scripts' are built in.
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl fonts-noto-cjk libssl3 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/progress --create-home progress
COPY --from=build /build/target/release/progress-service /usr/local/bin/progress-service
COPY LICENSE src/transcript/fonts/OFL.txt /usr/share/doc/progress-service/
USER 10001
WORKDIR /var/lib/progress
VOLUME /var/lib/progress
ENV PROGRESS_LISTEN=0.0.0.0:8080 \
    PROGRESS_DATA_DIR=/var/lib/progress \
    PROGRESS_LOG_FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
# Whichever the listener speaks, on whichever port; the certificate is for other names than this.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD at="127.0.0.1:${PROGRESS_LISTEN##*:}/healthz"; curl -fs -m 2 "http://$at" || curl -fsSk -m 2 "https://$at"
ENTRYPOINT ["progress-service"]
CMD ["serve"]
