"""How often the rows of each source come in an epoch (R4)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from genomics_fm.corpus.groups import Group
from genomics_fm.errors import InputError, require

PUBLISHED_HAPLOTYPE_SHARE = 385 / (284 + 385)
"""Of the published corpus, 284 billion nucleotides are of many species and 385 billion of human variation (SPEC A3)."""
_ROUNDING = 1e-9
"""A share that was set to the cap may come out above it by so much."""


@dataclass(frozen=True)
class SourceWeights:
    """Shares of nucleotides, by which rows of a corpus come more or less often. Each assembly's weight is its own.

    Attributes:
        haplotype_share: of haplotypes, where a corpus has both them and references, however few haplotypes there
            are: those of 3 Mb come hundreds of times an epoch beside some Gb. 0: as many as there are.
        species_cap: of any one species among references.
        temperature: a species' share among references is taken to the power of 1/temperature; above 1, small genomes
            come more often.
    """

    haplotype_share: float = PUBLISHED_HAPLOTYPE_SHARE
    species_cap: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require(0 <= self.haplotype_share < 1, "haplotype_share", self.haplotype_share, "0 up to, but not, 1")
        require(0 < self.species_cap <= 1, "species_cap", self.species_cap, "a share above 0, at most 1")
        require(self.temperature > 0, "temperature", self.temperature, "a number above 0")

    def rates(self, groups: list[Group]) -> np.ndarray:
        """How often a row of each group comes in an epoch, (G,).

        Without cap and temperature, a reference row comes as often as its assembly's weight says; with them, all
        reference rows together still are as many.

        Raises:
            InputError: there are too few species for the cap.
        """
        nucleotides_G = np.array([group.nucleotides for group in groups], dtype=np.float64)
        haplotypes_G = np.array([group.haplotypes for group in groups])
        wanted_G = nucleotides_G * [group.weight for group in groups]
        names, species_G = np.unique([group.species for group in groups], return_inverse=True)
        wanted_S = np.bincount(species_G, wanted_G * ~haplotypes_G, len(names))
        factor_S = self._balanced(wanted_S) / np.where(wanted_S > 0, wanted_S, 1)
        wanted_G *= np.where(haplotypes_G, 1, factor_S[species_G])
        return self._with_haplotypes(wanted_G, haplotypes_G) / nucleotides_G

    def _balanced(self, wanted_S: np.ndarray) -> np.ndarray:
        """Nucleotides of each species' references after temperature and cap, as many in all."""
        total = wanted_S.sum()
        if not total or (self.temperature == 1 and self.species_cap == 1):
            return wanted_S
        shares_S = np.where(wanted_S > 0, (wanted_S / total) ** (1 / self.temperature), 0)
        shares_S /= shares_S.sum()
        if self.species_cap * np.count_nonzero(shares_S) < 1:
            least = f"at least 1/{np.count_nonzero(shares_S)}, there are no more species"
            raise InputError(f"species_cap {self.species_cap}: give {least}")
        capped_S = np.zeros(len(shares_S), dtype=bool)
        while (over_S := (shares_S > self.species_cap * (1 + _ROUNDING)) & ~capped_S).any():
            capped_S |= over_S
            rest = 1 - self.species_cap * np.count_nonzero(capped_S)
            shares_S[~capped_S] *= rest / shares_S[~capped_S].sum()
            shares_S[capped_S] = self.species_cap
        return shares_S * total

    def _with_haplotypes(self, wanted_G: np.ndarray, haplotypes_G: np.ndarray) -> np.ndarray:
        """Scale haplotypes to their share."""
        references, haplotypes = wanted_G[~haplotypes_G].sum(), wanted_G[haplotypes_G].sum()
        if not (self.haplotype_share and references and haplotypes):
            return wanted_G
        factor = self.haplotype_share / (1 - self.haplotype_share) * references / haplotypes
        return np.where(haplotypes_G, wanted_G * factor, wanted_G)


def report(groups: list[Group], rates_G: np.ndarray) -> dict[str, Any]:
    """What an epoch is made of, as JSON: shares are of its nucleotides, rates how often a row comes."""
    wanted_G = rates_G * [group.nucleotides for group in groups]
    share_G = (wanted_G / wanted_G.sum()).tolist()
    listed = [
        {
            "species": group.species,
            "assembly": group.assembly,
            "rows": "haplotypes" if group.haplotypes else "reference",
            "windows": group.rows,
            "nucleotides": group.nucleotides,
            "weight": group.weight,
            "rate": rate,
            "share": share,
        }
        for group, rate, share in zip(groups, rates_G.tolist(), share_G, strict=True)
    ]
    of_haplotypes = sum(one["share"] for one in listed if one["rows"] == "haplotypes")
    return {"reference_share": 1 - of_haplotypes, "haplotype_share": of_haplotypes, "groups": listed}


def in_a_line(reported: dict[str, Any]) -> str:
    """A report for a terminal."""
    by_rows = {
        rows: [one["rate"] for one in reported["groups"] if one["rows"] == rows] for rows in ("reference", "haplotypes")
    }
    parts = []
    for rows, rates in by_rows.items():
        if rates:
            share = reported["haplotype_share" if rows == "haplotypes" else "reference_share"]
            low, high = (f"{rate:.3g}" for rate in (min(rates), max(rates)))
            often = low if low == high else f"{low} to {high}"
            parts.append(f"{rows} {share:.1%} of nucleotides, each window {often} × an epoch")
    return "; ".join(parts)
