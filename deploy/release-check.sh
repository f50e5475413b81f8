#!/bin/sh
# Makes a release in dist/ without signing or publishing it, and checks that it is complete and that its binaries are
# those of deploy/build.sh. Uncommitted changes are released, too; `make release-tools` installs what it needs.
set -eu

git remote get-url origin >/dev/null # goreleaser wants it
goreleaser check
sh deploy/release-notes.sh Unreleased >/dev/null
goreleaser release --snapshot --clean --skip=sign

fail() {
	echo "release-check: $*" >&2
	exit 1
}

version=$(sed -n 's/.*"version":"\([^"]*\)".*/\1/p' dist/metadata.json)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for platform in linux-amd64 linux-arm64 linux-armv7 linux-riscv64 darwin-amd64 darwin-arm64 windows-amd64; do
	name=appfigures_exporter-$version.$platform
	binary=appfigures_exporter
	case $platform in
	windows-*)
		archive=$name.zip
		binary=$binary.exe
		unzip -q "dist/$archive" -d "$work"
		;;
	*)
		archive=$name.tar.gz
		tar -xzf "dist/$archive" -C "$work"
		;;
	esac
	for file in LICENSE README.md config.yml.example appfigures_exporter.1.gz appfigures_exporter.bash \
		_appfigures_exporter "$binary"; do
		test -s "$work/$name/$file" || fail "$archive has no $file"
	done
	grep -q github.com/prometheus/client_golang "dist/$archive.sbom.json" || fail "the SBOM of $archive is incomplete"

	arch=${platform#*-}
	# shellcheck disable=SC2046 # one word per variable
	env $(sh deploy/stamp.sh) VERSION="$version" GOOS="${platform%-*}" GOARCH="${arch%v7}" GOARM=7 \
		sh deploy/build.sh "$work/built"
	cmp "$work/built" "$work/$name/$binary" || fail "the binary in $archive is not that of deploy/build.sh"
	echo "$archive: $(sha256sum "$work/built" | cut -d ' ' -f 1)"
done

# dpkg and rpm sort the version of a snapshot before that of the release by a tilde.
packaged=$(echo "$version" | sed 's/-/~/')
for arch in amd64 arm64 armhf riscv64; do
	deb=dist/appfigures-exporter_${packaged}_$arch.deb
	case $arch in
	armhf) platform=linux-armv7 ;;
	*) platform=linux-$arch ;;
	esac
	test "$(dpkg-deb --field "$deb" Architecture)" = $arch || fail "$deb is not for $arch"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/bin/appfigures_exporter |
		cmp - "$work/appfigures_exporter-$version.$platform/appfigures_exporter" || fail "the binary in $deb is another"
done

cd dist
sha256sum --quiet --check SHA256SUMS
# Seven archives with an SBOM each; a deb and an rpm for each of four platforms.
test "$(wc -l <SHA256SUMS)" -eq 22 || fail "SHA256SUMS does not have 22 files"
