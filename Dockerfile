# syntax=docker/dockerfile:1
# The image of a node: the server alone, in a slim Debian, as a user who owns nothing.
#
#   docker build -t carillon .
#   docker run --rm -p 127.0.0.1:8000:8000 -v carillon:/var/lib/carillon carillon       # embedded databases
#   docker run --rm --read-only … carillon                                              # with databases of its own

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies, in a layer of their own: it is made anew only when a manifest or the lock file changes. Sources that
# say nothing stand in for ours.
COPY Cargo.toml Cargo.lock ./
COPY loadtest/Cargo.toml loadtest/
RUN mkdir -p src loadtest/src \
 && echo 'fn main() {}' | tee src/main.rs >loadtest/src/main.rs \
 && touch src/lib.rs \
 && cargo build --release --locked --package carillon \
 && rm -r src loadtest/src

# Ours. What was copied may be older than what was built of the stand-ins, and cargo goes by the time.
COPY config.default.toml ./
COPY migrations migrations
COPY src src
RUN mkdir loadtest/src && echo 'fn main() {}' >loadtest/src/main.rs \
 && touch src/main.rs src/lib.rs \
 && cargo build --release --locked --package carillon --bin carillon

FROM debian:bookworm-slim
# Certificates, by which TLS to the databases is checked.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin carillon \
 && install -d -o carillon -g carillon -m 700 /var/lib/carillon
COPY --from=build /build/target/release/carillon /usr/local/bin/
COPY --chmod=755 deploy/ready.sh /usr/local/bin/carillon-ready

# Only the embedded databases write to disk, and only here.
VOLUME /var/lib/carillon
ENV CARILLON_HTTP_SERVER__ADDRESS=0.0.0.0 \
    CARILLON_DATA_DIR=/var/lib/carillon
EXPOSE 8000
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["carillon-ready"]
ENTRYPOINT ["carillon"]
CMD ["serve"]
