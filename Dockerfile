# One static binary, the CA certificates and an empty directory for the state file. No shell, no package manager.
#
#   make image     stamped with the version of the checkout
#
# It needs BuildKit: Docker 23 or newer has it, older ones with DOCKER_BUILDKIT=1; Podman and buildah need nothing more.
# deploy/README.md says how to run the image.

FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26.8-alpine AS build
WORKDIR /src

COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download

COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG REVISION
ARG BRANCH
ARG BUILD_DATE
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/go/build-cache \
    GOCACHE=/go/build-cache GOOS=$TARGETOS GOARCH=$TARGETARCH sh deploy/build.sh /out/appfigures_exporter
RUN mkdir /out/state

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY LICENSE /LICENSE
COPY --from=build /out/appfigures_exporter /appfigures_exporter
# A new volume takes its owner from this directory. WORKDIR creates the parent, which BuildKit would chown as well.
WORKDIR /var/lib
COPY --from=build --chown=65532:65532 /out/state appfigures_exporter

ARG VERSION
ARG REVISION
ARG BUILD_DATE
LABEL org.opencontainers.image.title="appfigures_exporter" \
      org.opencontainers.image.description="Prometheus exporter that checks whether Appfigures API tokens still work" \
      org.opencontainers.image.source="https://github.com/appfigures-exporter/appfigures_exporter" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$BUILD_DATE"

# A config.yml mounted here is found without a flag.
WORKDIR /etc/appfigures_exporter
# The only place that is written to. It is a volume so that state outlives restarts of a container with --read-only.
VOLUME /var/lib/appfigures_exporter
USER 65532:65532
EXPOSE 10187
# Checks that the exporter works, not that tokens are valid. Makes no request to the API.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["/appfigures_exporter", "healthcheck"]
ENTRYPOINT ["/appfigures_exporter"]
