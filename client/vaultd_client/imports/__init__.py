"""Reading the files in which people keep keys today: one module a source, `formats.py` with the table of them.

A reader gets text and returns what it found; it opens nothing, asks nothing and writes nothing. `source.py` opens,
`shred.py` overwrites, `record.py` remembers what an import made so that it can be undone.

Threat: the file is broken or was made by someone else. Measure: size, count and depth are bounded, an error names file,
line and column and never quotes what stands there. Limit: what was read is Python text, which cannot be wiped.
"""
