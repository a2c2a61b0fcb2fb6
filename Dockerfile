# One image: the server, with PostgreSQL embedded for those who bring none of their own.
#
#   docker build --build-arg BASE=IMAGE .
#
# BASE is any Debian image; with Node and npm in it for the build stage. Nothing is fetched but packages of npm and Debian.
ARG BASE=node:26-bookworm-slim
ARG RUNTIME=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /chappe
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY src ./src
COPY federation ./federation
COPY migrations ./migrations
COPY config.sample.yaml LICENSE* README.md ./

FROM ${RUNTIME}
LABEL org.opencontainers.image.title="Chappe" \
      org.opencontainers.image.description="A Matrix homeserver for states" \
      org.opencontainers.image.licenses="EUPL-1.2"
# What Node is linked against and a minimal Debian lacks.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends libatomic1 \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 991 --user-group --home-dir /data --shell /usr/sbin/nologin chappe \
 && mkdir /data && chown chappe:chappe /data && chmod 700 /data
COPY --from=build /chappe /chappe
WORKDIR /chappe
USER chappe
ENV CHAPPE_DATA_DIR=/data \
    CHAPPE_HOST=0.0.0.0 \
    CHAPPE_PORT=8008 \
    NODE_ENV=production \
    NODE_OPTIONS=--max-semi-space-size=8 \
    MALLOC_ARENA_MAX=2
VOLUME /data
EXPOSE 8008
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["/chappe/node_modules/.bin/node", "-e", "fetch('http://127.0.0.1:'+(process.env.CHAPPE_PORT||8008)+'/_matrix/client/versions').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["/chappe/node_modules/.bin/node", "src/main.ts"]
CMD ["start"]
