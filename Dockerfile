# One image: the server, with PostgreSQL embedded for those who bring none of their own, and nothing else.
#
#   docker build -t chappe .
#
# BASE is a Debian image with Node and npm in it, RUNTIME the Debian whose libraries are taken. Nothing is fetched but packages of
# npm and Debian.
ARG BASE=node:26-bookworm-slim
ARG RUNTIME=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /chappe
COPY package.json package-lock.json ./
# Of the packages stays what runs here: no headers of Node, no archives to link with, no other platforms, no types and no source maps.
RUN npm ci --omit=dev --no-audit --no-fund \
 && platform="linux-$(node -p process.arch)" \
 && rm -rf node_modules/node/node_modules/node-*/include node_modules/node/node_modules/node-*/share \
 && find node_modules -path '*/prebuilds/*' -prune -not -name "$platform" -exec rm -rf {} + \
 && find node_modules -type f \( -name '*.a' -o -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete
COPY chappe.js ./
COPY src ./src
COPY federation ./federation
COPY migrations ./migrations
COPY config.sample.yaml LICENSE* README.md ./

# The libraries that the programs are linked against, with what Debian says of their packages, for those who look for weaknesses
# in images. The shell is there because initdb starts PostgreSQL by it.
FROM ${RUNTIME} AS system
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libatomic1
COPY --from=build /chappe /chappe
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN mkdir -p /image/etc /image/tmp /image/var/lib/dpkg/status.d /owned/data \
 && chmod 1777 /image/tmp && chmod 700 /owned/data \
 && echo 'chappe:x:991:991::/data:/usr/sbin/nologin' > /image/etc/passwd \
 && echo 'chappe:x:991:' > /image/etc/group \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && cp --parents -L /bin/sh /image \
 && { find /chappe -type f \( -name '*.node' -o -name '*.so*' -o -perm /111 \) -print; echo /bin/sh; } \
    | { xargs -d '\n' ldd 2>/dev/null || true; } \
    | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\/lib/ { print $1 }' | { grep -v '^/chappe/' || true; } | sort -u > /libraries \
 && xargs cp --parents -L -t /image < /libraries \
 && for name in $(sed 's:.*/:*/:' /libraries) /bin/sh; do dpkg-query -S "$name" 2>/dev/null || true; done \
    | grep -v diversion | cut -d : -f 1 | sort -u \
    | while read -r package; do \
        dpkg-query -s "$package" > "/image/var/lib/dpkg/status.d/$package"; \
        cp --parents -L "/usr/share/doc/$package/copyright" /image; \
      done

FROM scratch
LABEL org.opencontainers.image.title="Chappe" \
      org.opencontainers.image.description="A Matrix homeserver for states" \
      org.opencontainers.image.licenses="EUPL-1.2"
COPY --from=system /image /
COPY --from=system --chown=991:991 /owned /
COPY --from=build /chappe /chappe
WORKDIR /chappe
USER 991:991
ENV CHAPPE_DATA_DIR=/data \
    CHAPPE_HOST=0.0.0.0 \
    CHAPPE_PORT=8008 \
    NODE_ENV=production \
    NODE_OPTIONS=--max-semi-space-size=8 \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=1048576
VOLUME /data
EXPOSE 8008
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["/chappe/node_modules/.bin/node", "-e", "fetch('http://127.0.0.1:'+(process.env.CHAPPE_PORT||8008)+'/_matrix/client/versions').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["/chappe/node_modules/.bin/node", "chappe.js"]
CMD ["start"]
