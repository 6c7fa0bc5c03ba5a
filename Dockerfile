# The image of vmwarden: Node 24 LTS, the bundled program and lmdb's native code on a base without a shell.
# `docker build -t vmwarden .` builds it for this machine; with `docker buildx build --platform linux/amd64,linux/arm64`
# nothing is emulated: what runs in a build step runs on the machine that builds.
#
# Both bases are pinned by the digest of their multi-architecture index. Another mirror or a newer digest:
# --build-arg NODE_IMAGE=REGISTRY/node@sha256:... ; a base without a digest is refused.
ARG NODE_IMAGE=docker.io/library/node:24.21.0-trixie-slim@sha256:8ec5d7557396cfe32d21c3f9c13072355ceab22b584578ca4bb28af31120cffe
ARG BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot@sha256:e792ab3d241a468a4fd7519ddbbebe66b49b5f365771716ea688ad40b6c6f1c2

# The Node of the machine that the image is for; nothing of it runs here.
FROM ${NODE_IMAGE} AS node

FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
ARG NODE_IMAGE
ARG BASE_IMAGE
ARG TARGETARCH
WORKDIR /src
COPY scripts/image-tree.mjs scripts/image-tree.mjs
RUN node scripts/image-tree.mjs check-bases "$NODE_IMAGE" "$BASE_IMAGE"
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN node scripts/build.mjs
RUN node scripts/image-tree.mjs assemble /image "$TARGETARCH"

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG VERSION=unversioned
ARG REVISION=unknown
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=build /image/program/ /
COPY --from=build --chown=65532:65532 /image/data/ /var/lib/vmwarden/
ENV NODE_ENV=production \
    VMWARDEN_DATA_DIR=/var/lib/vmwarden
USER 65532:65532
WORKDIR /
# Journal, socket and dumps: all that is written. The rest of the image can be read-only.
VOLUME ["/var/lib/vmwarden"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
  CMD ["/usr/local/bin/vmwarden", "healthcheck", "--timeout", "4s"]
LABEL org.opencontainers.image.title="vmwarden" \
      org.opencontainers.image.description="Decides what happens when a guest dies, does it, proves it, and keeps the record" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
ENTRYPOINT ["/usr/local/bin/vmwarden"]
CMD ["serve"]
