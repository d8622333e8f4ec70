"""How long does it take to choose 1,160 species from tables as large as NCBI's?

`python -m benchmarks.select_species [ASSEMBLIES [TAXA]]` makes the tables in a temporary folder and prints seconds.
"""

import sys
import tempfile
import time
from pathlib import Path

from jobs.select_species import SelectSpeciesConfig, run
from tests.assembly_tables import write_lineage, write_ncbi

ASSEMBLIES = 400_000
TAXA = 2_600_000
"""About as many as rankedlineage.dmp has lines."""
LIMIT_SECONDS = 30.0


def main() -> int:
    """Print a line a run; ends with 1 when one takes longer than allowed."""
    given = [int(argument) for argument in sys.argv[1:]]
    assemblies, taxa = [*given, *(ASSEMBLIES, TAXA)[len(given) :]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ncbi = write_ncbi(folder / "assembly_summary.txt", assemblies)
        lineage = write_lineage(folder / "rankedlineage.dmp", taxa)
        slowest = 0.0
        for with_lineage in ("", str(lineage)):
            config = SelectSpeciesConfig(ncbi=(str(ncbi),), lineage=with_lineage, output=str(folder / "genomes.tsv"))
            wall, processor = time.monotonic(), time.process_time()
            result = run(config)
            wall, processor = time.monotonic() - wall, time.process_time() - processor
            slowest = max(slowest, wall)
            print(
                f"{assemblies:,} assemblies ({ncbi.stat().st_size / 1e6:.0f} MB)"
                f"{f', {taxa:,} lineages ({lineage.stat().st_size / 1e6:.0f} MB)' if with_lineage else ''}: "
                f"{result['species']:,} species in {wall:.1f} s, {processor:.1f} s of processor"
            )
    return int(slowest > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
