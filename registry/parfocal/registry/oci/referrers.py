"""Signatures of an image, each as an image of its own that refers to it, as sigstore attaches bundles."""

from collections.abc import Iterator
from pathlib import Path

from parfocal.registry.errors import AdapterRefused, MalformedFile
from parfocal.registry.oci.descriptors import (
    Descriptor,
    descriptor_of,
    layers_of,
    listed_images,
    verified_fields,
    verified_json,
)
from parfocal.registry.oci.media_types import SIGNATURE
from parfocal.registry.values import MAX_SIGNATURES, FieldError

# A layout may hold those of many images.
_MOST_LISTED = 1000


def read_signatures(layout: Path, image: Descriptor) -> Iterator[tuple[str, bytes]]:
    """The bundles that a layout has of an image, each with what it is called in messages.

    Raises MalformedFile, BlobCorrupt, AdapterRefused where a blob is absent or there are too many, OSError.
    """
    listed = [each for each in listed_images(layout) if each.artifact_type == SIGNATURE]
    found = 0
    for each in listed[:_MOST_LISTED]:
        try:
            fields = verified_fields(layout, each)
            subject = descriptor_of(fields.object("subject"))
            bundles = [layer for layer in layers_of(fields) if layer.media_type == SIGNATURE]
        except FieldError as error:
            raise MalformedFile(f"signature {each.digest}: {error}", field=error.field) from error
        if subject.digest != image.digest:
            continue
        for bundle in bundles:
            found += 1
            if found > MAX_SIGNATURES:
                raise AdapterRefused(
                    f"image {image.digest} has more than {MAX_SIGNATURES} signatures; take some out of its "
                    "layout's index",
                    field="signatures",
                )
            yield f"signature {bundle.digest}", verified_json(layout, bundle)
