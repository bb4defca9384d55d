"""Moving in and out: what other archives hold becomes rows, and rows become what others read.

====================  ==========================================================
module                holds
====================  ==========================================================
``tables``            CSV as PostgreSQL's ``COPY`` writes it
``lineages``          provenances, upstreams and tags of a snappl database
``snappl``            images of a snappl database; ``joining`` rows and files
``tree``              a tree of files, whose paths say what the headers do not
``obscore``           rows of the IVOA's ObsCore 1.1; ``fields`` are its columns,
                      ``wavelengths`` those of the bands
``exporting``         files of such rows
====================  ==========================================================
"""
