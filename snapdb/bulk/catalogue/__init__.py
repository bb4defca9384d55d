"""Catalogues of sources.

==============  ============================================================
module          what is in it
==============  ============================================================
``catalogue``   :class:`Catalogue`: pieces of sound rows, with the problems of
                the others; ``load_and_validate_catalogue``
``configured``  a run's catalogue, as its settings say
``piece``       some sources, column by column
``problem``     kinds of problems, and the error that holds them
``columns``     which column is what, and in which unit
``checks``      what each row must be
``duplicates``  ids that occur twice
``filesets``    the files that rows name
``tables``      CSV, parquet, FITS, VOTable and tables in memory, in pieces
``csv_rows``    CSV in pieces
``values``      Arrow columns as numbers and texts
``frame``       a catalogue as a pandas table
==============  ============================================================
"""
