"""Seam 3, the database: what images there are, where they lie, and what made them.

==================  ============================================================
module              holds
==================  ============================================================
``registry``        :class:`Registry`, what the rest of snapdb sees
``connected``       opening and closing; the connections it holds
``tables``          the tables; ``schema`` their version, ``engine`` connections
``queries``         searches as statements; ``filters`` their criteria,
                    ``resolve`` what takes a statement of its own
``records``         rows as records
``adding``          images in, however many; ``loaders`` writes whole tables
``writes``          images out; ``files``, ``provenances``, ``reads`` the rest
``lineage``         the provenance side of the registry
``measurements``    the photometric side: ``measurement_rows`` writes columns,
                    ``measurement_queries`` asks, ``measurement_answers`` reads;
                    ``packed`` writes long parameters of PostgreSQL
``roles``           who may do what on PostgreSQL; ``limits`` how long to wait
``spatial``         how each database finds images by position
``footprints``      footprints column by column, for many positions
``errors``          where the errors of databases become snapdb's
==================  ============================================================
"""

from snapdb.registry.adding.add import AddedImage
from snapdb.registry.registry import Registry
from snapdb.registry.schema import SCHEMA_VERSION, downgrade, migrate

__all__ = ["SCHEMA_VERSION", "AddedImage", "Registry", "downgrade", "migrate"]
