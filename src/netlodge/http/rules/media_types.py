"""The media type of a file by the extension of its name.

RFC 9110 §8.3 (Content-Type), §8.3.1 (media type), §8.3.2 (charset). The table is Netlodge's own and not the machine's, so that a
site is typed alike wherever it is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DEFAULT: Final = "application/octet-stream"

_BY_TYPE: Final[Mapping[str, str]] = {
    # Pages and what they load.
    "text/html": "html htm shtml",
    "application/xhtml+xml": "xhtml xht",
    "text/css": "css",
    "text/javascript": "js mjs cjs",
    "application/json": "json map",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/jsonl": "jsonl ndjson",
    "application/manifest+json": "webmanifest",
    "application/wasm": "wasm",
    "application/xml": "xml xsd rng",
    "application/xslt+xml": "xsl xslt",
    "application/atom+xml": "atom",
    "application/rss+xml": "rss",
    "application/opensearchdescription+xml": "osdx",
    "text/vtt": "vtt",
    "text/cache-manifest": "appcache",
    # Text and source code.
    "text/plain": (
        "txt text log conf cfg ini toml lock diff patch asc rst adoc tex bib nfo srt"
        " py pyi rb pl pm lua sh bash zsh fish bat ps1 c h cc cpp cxx hpp hh java kt go rs swift cs hs ml"
        " ex exs erl clj scala sql proto zig nim dart jl r m tsx jsx cmake mk gradle el lisp vim awk sed"
    ),
    "text/markdown": "md markdown",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/calendar": "ics ifb",
    "text/vcard": "vcf",
    "application/yaml": "yaml yml",
    # Images.
    "image/png": "png",
    "image/apng": "apng",
    "image/jpeg": "jpg jpeg jpe jfif",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/jxl": "jxl",
    "image/svg+xml": "svg",
    "image/bmp": "bmp",
    "image/tiff": "tif tiff",
    "image/vnd.microsoft.icon": "ico cur",
    # Sound and pictures that move.
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/ogg": "ogg oga opus",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "audio/midi": "mid midi",
    "video/mp4": "mp4 m4v",
    "video/webm": "webm",
    "video/ogg": "ogv",
    "video/quicktime": "mov qt",
    "video/mpeg": "mpeg mpg",
    "video/x-msvideo": "avi",
    "video/matroska": "mkv",
    "video/mp2t": "ts m2ts mts",
    "video/iso.segment": "m4s",
    "application/vnd.apple.mpegurl": "m3u8",
    "application/dash+xml": "mpd",
    # Typefaces.
    "font/woff": "woff",
    "font/woff2": "woff2",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/collection": "ttc",
    "application/vnd.ms-fontobject": "eot",
    # Documents.
    "application/pdf": "pdf",
    "application/postscript": "ps eps ai",
    "application/rtf": "rtf",
    "application/epub+zip": "epub",
    "application/msword": "doc dot",
    "application/vnd.ms-excel": "xls xlt",
    "application/vnd.ms-powerpoint": "ppt pps pot",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.graphics": "odg",
    # Packed and installable.
    "application/zip": "zip whl",
    "application/gzip": "gz tgz",
    "application/x-bzip2": "bz2 tbz2",
    "application/x-xz": "xz txz",
    "application/zstd": "zst",
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar",
    "application/x-tar": "tar",
    "application/java-archive": "jar war",
    "application/vnd.debian.binary-package": "deb udeb",
    "application/x-rpm": "rpm",
    "application/vnd.android.package-archive": "apk",
    "application/x-apple-diskimage": "dmg",
    "application/x-iso9660-image": "iso",
    "application/vnd.sqlite3": "sqlite sqlite3 db",
    # Certificates and keys.
    "application/x-x509-ca-cert": "crt der cer",
    "application/x-pem-file": "pem",
    "application/pkix-crl": "crl",
    "application/x-pkcs12": "p12 pfx",
    "application/pgp-keys": "gpg",
}


class MediaTypes:
    """The table of extensions, with additions from the settings; made once, then only read.

    `additions` maps an extension (with or without its dot, in any case; `.tar.gz` is one too) to a media type, and goes before the table. `charset` is
    told for text: a type `text/...` that does not name one gets it as a parameter; empty: none is told.
    """

    __slots__ = ("_by_extension", "_default")

    def __init__(
        self, additions: Mapping[str, str] | None = None, *, charset: str = "utf-8", default: str = DEFAULT
    ) -> None:
        by_extension = {extension: kind for kind, extensions in _BY_TYPE.items() for extension in extensions.split()}
        for extension, kind in (additions or {}).items():
            by_extension[extension.lower().removeprefix(".")] = kind
        self._by_extension = {extension: _with_charset(kind, charset) for extension, kind in by_extension.items()}
        self._default = _with_charset(default, charset)

    def of_extension(self, extension: str) -> str | None:
        """The value of Content-Type that this one extension stands for (lower-case, without its dot), if any."""
        return self._by_extension.get(extension)

    def of(self, name: str) -> str:
        """The value of Content-Type for a file of this name: by what follows the first of its dots behind which an extension stands,
        in any case: `.tar.gz` goes before `.gz`."""
        _, dot, extension = name.rpartition("/")[2].lower().partition(".")
        while dot:
            kind = self._by_extension.get(extension)
            if kind is not None:
                return kind
            _, dot, extension = extension.partition(".")
        return self._default


def _with_charset(kind: str, charset: str) -> str:
    """JSON, XML and JavaScript modules are UTF-8 by their own rules or say so themselves; only `text/` needs to be told, because a
    client that is told nothing guesses (RFC 9110 §8.3.2)."""
    if charset and kind.lower().startswith("text/") and "charset=" not in kind.lower():
        return f"{kind}; charset={charset}"
    return kind
