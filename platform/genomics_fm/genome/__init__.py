"""Reading genomes strictly: letters, records, FASTA and GenBank; coordinates are 0-based half-open."""
