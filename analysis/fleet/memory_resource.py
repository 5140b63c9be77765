"""What a worker does when it joins: it states its memory as a Dask resource."""

from distributed import WorkerPlugin


class StateMemory(WorkerPlugin):
    """States a worker's memory limit as the resource MiB, so that cells find room or wait."""

    name = "dirtylog-memory"

    async def setup(self, worker):
        """Set the resource; Dask calls this on every worker, those that join later too."""
        limit = worker.memory_manager.memory_limit
        await worker.set_resources(MiB=(limit >> 20) if limit else 1 << 30)
