from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from genomics_fm.corpus.registries import VERTEBRATE, read_lineage
from genomics_fm.corpus.selection import choose, clade_table, sources_of, species_of
from genomics_fm.corpus.sources import CLADES, Source
from genomics_fm.errors import InputError
from tests.assembly_tables import lineage_row

DEFAULTS = {
    "accession": "GCF_000000001.1",
    "species_taxid": 1,
    "name": "Aa bb",
    "clade": "Fungi",
    "category": 0,
    "level": 0,
    "date": "2020/01/01",
    "location": "https://h/a.fa",
    "registry": 0,
}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([DEFAULTS | row for row in rows])


def best(*rows: dict[str, Any]) -> list[str]:
    return species_of(frame(*rows), None, Counter())["location"].to_list()


def test_the_best_assembly_of_a_species() -> None:
    """Each rule beats all the rules after it, whatever the order of the rows."""
    worst = {"registry": 1, "category": 2, "level": 3, "date": "2001/01/01", "accession": "GCA_9.1"}
    better = {"registry": 0, "category": 0, "level": 0, "date": "2022/01/01", "accession": "GCF_5.1"}
    rules = list(worst)
    for place, rule in enumerate(rules):
        same = {name: better[name] for name in rules[:place]}
        good = {**same, rule: better[rule], **{name: worst[name] for name in rules[place + 1 :]}, "location": "good"}
        bad = {**same, rule: worst[rule], **{name: better[name] for name in rules[place + 1 :]}, "location": "bad"}
        assert best(good, bad) == best(bad, good) == ["good"], rule
    refseq, other = {"accession": "GCF_7.1", "location": "good"}, {"accession": "GCA_1.1"}
    assert best(refseq, other) == best(other, refseq) == ["good"]
    assert best({"accession": "GCF_7.1"}, {"accession": "GCF_2.1", "location": "good"}) == ["good"]


def test_names_without_a_lineage() -> None:
    names = {
        "Escherichia coli str. K-12 substr. MG1655": ("Escherichia coli", "Escherichia"),
        "Vibrio sp. A1": ("Vibrio sp. A1", "Vibrio"),
        "[Candida] auris": ("[Candida] auris", "Candida"),
        "Candidatus Carsonella ruddii PV": ("Candidatus Carsonella ruddii", "Carsonella"),
        "Canis lupus familiaris": ("Canis lupus", "Canis"),
        "uncultured": ("uncultured", "uncultured"),
    }
    rows = [{"name": name, "species_taxid": taxid} for taxid, name in enumerate(names)]
    left_out: Counter[str] = Counter()
    found = species_of(frame(*rows), None, left_out).sort("species_taxid")
    assert list(zip(found["species"], found["family"], strict=True)) == list(names.values())
    other = {"name": "Escherichia coli O157", "species_taxid": 99, "accession": "GCF_0.1"}
    again = species_of(frame(*rows, other), None, left_out)
    assert "GCF_0.1" in again["accession"] and len(again) == len(names)
    assert left_out["another assembly of its species is better"] == 1


@pytest.fixture
def lineage(tmp_path: Path) -> pl.DataFrame:
    rows = [
        lineage_row(1, "Gallus gallus", genus="Gallus", family="Phasianidae", order="Galliformes", class_="Aves"),
        lineage_row(2, "Chelonia mydas", genus="Chelonia", family="Cheloniidae", order="Testudines"),
        lineage_row(3, "Crocodylus porosus", genus="Crocodylus", order="Crocodylia"),
        lineage_row(4, "Anolis carolinensis", order="Squamata", class_="Lepidosauria"),
        lineage_row(5, "Xenopus laevis", order="Anura", class_="Amphibia"),
        lineage_row(6, "Danio rerio", order="Cypriniformes", class_="Actinopteri"),
        lineage_row(7, "Latimeria chalumnae", order="Coelacanthiformes"),
        lineage_row(8, "Carcharodon carcharias", order="Lamniformes", class_="Chondrichthyes"),
        lineage_row(9, "Homo sapiens", order="Primates", class_="Mammalia"),
        lineage_row(10, "Homo sapiens x", species="Homo sapiens", class_="Mammalia"),
        lineage_row(11, "Strange thing", order="Novel"),
        lineage_row(12, "Some yeast", class_="Aves"),
    ]
    path = tmp_path / "rankedlineage.dmp"
    path.write_text("".join(rows))
    return read_lineage(str(path), pl.Series(range(20)))


def test_clades_of_vertebrates_come_from_the_lineage(lineage: pl.DataFrame) -> None:
    rows = [{"species_taxid": taxid, "name": f"n{taxid} x", "clade": VERTEBRATE} for taxid in range(1, 12)]
    rows.append({"species_taxid": 12, "clade": "Fungi"})  # NCBI's own group stands
    rows.append({"species_taxid": 13, "clade": VERTEBRATE, "name": "Not there"})
    left_out: Counter[str] = Counter()
    found = species_of(frame(*rows), lineage, left_out)
    assert dict(zip(found["species"], found["clade"], strict=True)) == {
        "Gallus gallus": "Birds",
        "Chelonia mydas": "Reptiles",
        "Crocodylus porosus": "Reptiles",
        "Anolis carolinensis": "Reptiles",
        "Xenopus laevis": "Amphibians",
        "Danio rerio": "Fish",
        "Latimeria chalumnae": "Fish",
        "Carcharodon carcharias": "Fish",
        "Homo sapiens": "Mammalian",
        "Some yeast": "Fungi",
    }
    families = dict(zip(found["species"], found["family"], strict=True))
    assert families["Gallus gallus"] == "Phasianidae"
    assert families["Crocodylus porosus"] == "Crocodylus"
    assert families["Danio rerio"] == "n6"  # neither family nor genus in the lineage: the name's first word
    assert left_out == {
        "vertebrate: no clade of the paper in its lineage": 2,
        "another assembly of its species is better": 1,
    }


def test_without_a_lineage_vertebrates_are_left_out_and_counted() -> None:
    left_out: Counter[str] = Counter()
    found = species_of(frame({}, {"clade": VERTEBRATE, "species_taxid": 5, "name": "Gallus gallus"}), None, left_out)
    assert found["clade"].to_list() == ["Fungi"]
    assert left_out["vertebrate: no lineage table"] == 1


def test_ensembl_adds_only_what_ncbi_lacks(lineage: pl.DataFrame) -> None:
    rows = [
        {"species_taxid": 1, "clade": VERTEBRATE, "category": 2, "level": 3},
        {"species_taxid": 1, "clade": VERTEBRATE, "registry": 1, "location": "ensembl 1"},
        {"species_taxid": 5, "clade": VERTEBRATE, "registry": 1, "location": "ensembl 5"},
    ]
    found = species_of(frame(*rows), lineage, Counter()).sort("species_taxid")
    assert found["location"].to_list() == ["https://h/a.fa", "ensembl 5"]


def many(clades: dict[str, int], families: int = 3) -> pl.DataFrame:
    rows = [
        {"species": f"{clade} {n}", "clade": clade, "family": f"F{n % families}", "category": 2, "level": n // families}
        for clade, count in clades.items()
        for n in range(count)
    ]
    return pl.DataFrame([DEFAULTS | row for row in rows])


def test_clades_take_turns_and_families_within_them() -> None:
    species = many({"Bacteria": 40, "Fish": 2, "Fungi": 9})
    chosen = choose(species, 16, 0)
    assert dict(Counter(chosen["clade"])) == {"Fungi": 7, "Bacteria": 7, "Fish": 2}
    assert chosen["clade"].to_list() == ["Fungi"] * 7 + ["Bacteria"] * 7 + ["Fish"] * 2  # the paper's order
    bacteria = chosen.filter(pl.col("clade") == "Bacteria")
    assert sorted(Counter(bacteria["family"]).values()) == [2, 2, 3]
    assert sorted(bacteria["level"].to_list()) == [0, 0, 0, 1, 1, 1, 2]
    assert clade_table(species, chosen) == [
        (
            clade,
            {"Bacteria": 40, "Fish": 2, "Fungi": 9}.get(clade, 0),
            {"Bacteria": 7, "Fish": 2, "Fungi": 7}.get(clade, 0),
        )
        for clade in CLADES
    ]


def test_more_wanted_than_there_are_and_one_a_clade() -> None:
    species = many({"Bacteria": 4, "Fish": 2})
    assert len(choose(species, 100, 0)) == 6
    assert Counter(choose(species, 2, 0)["clade"]) == {"Bacteria": 1, "Fish": 1}
    with pytest.raises(InputError, match="--count 1: the tables hold 2 clades"):
        choose(species, 1, 0)
    with pytest.raises(InputError, match="no species of the paper's clades"):
        choose(species.clear(), 5, 0)


def test_the_seed_breaks_ties_and_nothing_else() -> None:
    species = many({"Bacteria": 60}, families=20).with_columns(pl.lit(0).cast(pl.Int64).alias("level"))
    first = choose(species, 10, 0)["species"].to_list()
    assert choose(species.reverse(), 10, 0)["species"].to_list() == first
    assert choose(species, 10, 1)["species"].to_list() != first
    ranked = many({"Bacteria": 9}, families=9).with_columns(pl.int_range(9).alias("level"))
    for seed in range(20):
        assert choose(ranked, 3, seed)["species"].to_list() == ["Bacteria 0", "Bacteria 1", "Bacteria 2"]


def test_sources_carry_what_the_tables_say() -> None:
    chosen = species_of(frame({"species_taxid": 4932}), None, Counter())
    assert sources_of(chosen) == [Source("https://h/a.fa", "Aa bb", "GCF_000000001.1", "Fungi", 4932)]
