"""The cluster layer: thin modules that put `genomics_fm` on Ray and record it in MLflow."""
