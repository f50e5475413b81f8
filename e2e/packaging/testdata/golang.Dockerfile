# Stands in for the golang image where no registry can be reached: busybox for its shell, the toolchain of the machine
# mounted at /usr/local/go, its module cache served as a proxy from /modules.
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /etc /root /go && mkdir -m 1777 /tmp && echo root:x:0:0::/root:/bin/sh >/etc/passwd
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PATH=/usr/local/go/bin:/bin \
    GOPATH=/go \
    GOPROXY=file:///modules \
    GOSUMDB=off \
    GOTOOLCHAIN=local
