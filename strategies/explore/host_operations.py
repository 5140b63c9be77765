"""The host's operations; generated programs and those of `unmapped` have them, too."""

import errno

from strategies.explore.parts import BUSY, DONE, OFF, SLOT, Operation, Part


def host_store(gfn=0):
    """Store to a page as the host does."""

    def run(scene, _thread, stamp):
        scene.guest.stored_by_host(stamp)
        scene.vm.host_store(gfn, stamp)
        return (DONE,)

    part = Part("host_store", None, gfn)
    return Operation("host-store-next" if gfn else "host-store", run, parts=(part,))


def unmap(gfn=0):
    """Take a page away, as the host does to swap it out."""

    def run(scene, _thread, _stamp):
        scene.vm.unmap_page(gfn)
        return (DONE,)

    return Operation("unmap", run, parts=(Part("unmap", None, gfn),))


def _of_pages(name, call, pages):
    """Return the operation of a call of the host that concerns each page by itself."""

    def run(scene, _thread, _stamp):
        try:
            return call(scene)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY):
                raise
            return (OFF if error.errno == errno.ENOENT else BUSY,) * pages

    parts = tuple(Part(name, None, gfn) for gfn in range(pages))
    return Operation(name.replace("_", "-"), run, parts=parts)


def harvest(pages=1):
    """Harvest the log and copy the reported pages."""

    def call(scene):
        reported = scene.harvest_and_copy(SLOT)
        return tuple(gfn in reported for gfn in range(pages))

    return _of_pages("harvest", call, pages)


def enable(pages=1):
    """Start logging, then copy all pages."""

    def call(scene):
        scene.enable(SLOT)
        return (DONE,) * pages

    return _of_pages("enable", call, pages)


def disable(pages=1):
    """Stop logging."""

    def call(scene):
        scene.disable(SLOT)
        return (DONE,) * pages

    return _of_pages("disable", call, pages)


def enable_other(pages=1):
    """Start logging by another tracker, of the same sort."""

    def call(scene):
        type(scene.trackers[SLOT])(scene.vm).enable_logging(SLOT)
        return (DONE,) * pages

    return _of_pages("enable_other", call, pages)
