# One static binary and the CA certificates: no shell, no package manager, nothing that is ever written to.
#
#   make image                                             stamped with the version of the checkout
#   docker build -t appfigures_exporter .                  the same, without a version
#   docker run --read-only -p 127.0.0.1:10187:10187 appfigures_exporter demo
#
# A config.yml mounted at /etc/appfigures_exporter/config.yml is found without a flag.

FROM --platform=$BUILDPLATFORM golang:1.26.8-alpine AS build
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
    --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH sh deploy/build.sh /out/appfigures_exporter

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY LICENSE /LICENSE
COPY --from=build /out/appfigures_exporter /appfigures_exporter

ARG VERSION
ARG REVISION
ARG BUILD_DATE
LABEL org.opencontainers.image.title="appfigures_exporter" \
      org.opencontainers.image.description="Tells Prometheus whether Appfigures API tokens still work" \
      org.opencontainers.image.source="https://github.com/appfigures-exporter/appfigures_exporter" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$BUILD_DATE"

WORKDIR /etc/appfigures_exporter
USER 65532:65532
EXPOSE 10187
# Whether the exporter answers; it says nothing of the tokens and costs no request to the API.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["/appfigures_exporter", "healthcheck"]
ENTRYPOINT ["/appfigures_exporter"]
