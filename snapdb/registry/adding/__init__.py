"""Registering images, however many: check all, then write whole tables.

==============  =================================================================
module          does
==============  =================================================================
``checks``      finds every row that the registry would refuse, and says why
``known``       finds what is registered already
``first_load``  makes what an empty registry can have at the end
``rows``        turns images into the columns of the tables, in the order of the sky
``add``         puts these together inside one transaction
==============  =================================================================
"""
