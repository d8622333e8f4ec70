"""The published data sets of SPEC 1.H, as data. Addresses are the publishers' own, or mirrors in their format."""

from collections.abc import Iterator

from genomics_fm.tasks.layout import Layout
from genomics_fm.tasks.registry_entry import Entry, File

_GUE = "https://huggingface.co/datasets/leannmlindsey/GUE/resolve/main/GUE"
_GUE_HOME = "https://github.com/MAGICS-LAB/DNABERT_2"
_GUE_CITATION = "Zhou et al. 2024, DNABERT-2 (ICLR), arXiv:2306.15006"
_GB = "https://huggingface.co/datasets/katarinagresova/Genomic_Benchmarks_"
_GB_FILE = "resolve/refs%2Fconvert%2Fparquet/default"
_GB_HOME = "https://github.com/ML-Bioinfo-CEITEC/genomic_benchmarks"
_GB_CITATION = "Gresova et al. 2023, Genomic benchmarks, BMC Genomic Data 24:25"
_ENHANCERS = (
    "https://raw.githubusercontent.com/lhy0322/iEnhancer-BERT/a821f0f0697d98d8eb48eee963441e2f94aa327a"
    "/examples/data_process_template/data"
)
_STARR = "https://zenodo.org/records/5502060/files"
_STARR_CITATION = "de Almeida et al. 2022, DeepSTARR, Nature Genetics 54:613"
_STARR_MD5 = {
    "Sequences_Train.fa": "fe474a31c23db2daf7dc4d1fc49a8e5a",
    "Sequences_Val.fa": "9d1a0e5c9228aa033378af93074109e6",
    "Sequences_Test.fa": "c2d831a6e2cfb9345fa5e52de76bb453",
    "Sequences_activity_Train.txt": "4e65afa021fd426c74dbf24c31b8bbf9",
    "Sequences_activity_Val.txt": "5f30e863b2239e4f9ade6e7b81b3ff3c",
    "Sequences_activity_Test.txt": "011690ca80cf967d56fefd0c1386419f",
}
_UTR = "https://ftp.ncbi.nlm.nih.gov/geo/samples/GSM4084nnn/GSM4084997/suppl/GSM4084997_varying_length_25to100.csv.gz"
_TARGETS = ("Dev_log2_enrichment", "Hk_log2_enrichment")
_MARKS = ("H3", "H3K14ac", "H3K36me3", "H3K4me1", "H3K4me2", "H3K4me3", "H3K79me3", "H3K9ac", "H4", "H4ac")
_SPLITS = ("train", "dev", "test")


def _gue(
    name: str, family: str, title: str, length: str, folder: str, classes: int = 2, stranded: bool = False
) -> Entry:
    names = tuple(map(str, range(classes)))
    return Entry(
        name=f"gue_{name}",
        family=family,
        title=title,
        length=length,
        layout=Layout(kind="classification", classes=names, stranded=stranded, metric="mcc", conflicts="keep"),
        home=_GUE_HOME,
        licence="Apache-2.0 (of the collection)",
        citation=_GUE_CITATION,
        folder=f"GUE/{folder}",
        files=tuple(File(f"{split}.csv", split, f"{_GUE}/{name}/{split}.csv") for split in _SPLITS),
        outputs=classes,
    )


def _gue_sets() -> Iterator[Entry]:
    for mark in _MARKS:
        yield _gue(f"emp_{mark}", "H1", f"yeast, ChIP-chip: {mark} or not", "500", f"EMP/{mark}")
    for kind in ("all", "notata", "tata"):
        yield _gue(f"prom_300_{kind}", "H2", f"human promoters, {kind}, or not", "300", f"prom/prom_300_{kind}")
    for kind in ("all", "notata", "tata"):
        title, folder = f"human core promoters, {kind}, or not", f"prom/prom_core_{kind}"
        yield _gue(f"prom_core_{kind}", "H3", title, "70", folder, stranded=True)
    for number in range(5):
        yield _gue(f"human_tf_{number}", "H4", f"human ChIP-seq {number}: bound or not", "101", f"tf/{number}")
    title = "human splice sites: donor, acceptor or neither, numbered as published"
    yield _gue("splice_reconstructed", "H5", title, "400", "splice/reconstructed", 3, stranded=True)
    for number in range(5):
        yield _gue(f"mouse_{number}", "H6", f"mouse ChIP-seq {number}: bound or not", "101", f"mouse/{number}")
    title = "SARS-CoV-2: which of nine variants, numbered as published"
    yield _gue("virus_covid", "H16", title, "999", "virus/covid", 9, stranded=True)


def _benchmark(name: str, family: str, title: str, length: str, classes: tuple[str, ...]) -> Entry:
    return Entry(
        name=name,
        family=family,
        title=title,
        length=length,
        layout=Layout(kind="classification", classes=classes, metric="mcc", conflicts="keep"),
        home=_GB_HOME,
        licence="Apache-2.0",
        citation=_GB_CITATION,
        folder=f"genomic_benchmarks/{name}",
        files=tuple(
            File(f"{split}.csv", split, f"{_GB}{name}/{_GB_FILE}/{split}/0000.parquet") for split in ("train", "test")
        ),
        place=("region_hg38", "start_hg38", "end_hg38", "strand"),
        outputs=len(classes),
    )


def _benchmarks() -> Iterator[Entry]:
    either = ("negative", "positive")
    yield _benchmark("human_enhancers_cohn", "H9", "human enhancers or not (Cohn)", "500", either)
    title, classes = "human transcript or between genes", ("coding_seqs", "intergenomic_seqs")
    yield _benchmark("demo_coding_vs_intergenomic_seqs", "H11", title, "200", classes)
    yield _benchmark("human_enhancers_ensembl", "H12", "human enhancers or not (Ensembl)", "2-573", either)
    title, three = "human enhancer, open chromatin or promoter (Ensembl)", ("enhancer", "ocr", "promoter")
    yield _benchmark("human_ensembl_regulatory", "H13", title, "71-802", three)
    yield _benchmark("demo_human_or_worm", "H14", "human or C. elegans", "200", ("human", "worm"))
    yield _benchmark("human_nontata_promoters", "H15", "human promoters without TATA, or not", "251", either)
    title = "Drosophila enhancers or not (Stark)"
    yield _benchmark("drosophila_enhancers_stark", "", title, "236-3,237", either)


def _enhancers(layer: int, title: str, classes: tuple[str, str]) -> Entry:
    pairs = [(split, name) for split in ("train", "test") for name in classes]
    return Entry(
        name=f"ienhancer_layer{layer}",
        family="",
        title=title,
        length="200",
        layout=Layout(kind="classification", classes=classes, metric="mcc", conflicts="keep"),
        home="https://github.com/lhy0322/iEnhancer-BERT",
        licence="MIT",
        citation="Liu et al. 2016, iEnhancer-2L, Bioinformatics 32:362",
        folder=f"enhancers_iEnhancer/layer{layer}",
        files=tuple(
            File(f"{split}_{name}.fa", split, f"{_ENHANCERS}/layer{layer}/{split}_{name}.fa", name=name)
            for split, name in pairs
        ),
        reader="classes",
        outputs=2,
    )


def _activity() -> Iterator[Entry]:
    layout = Layout(sequence="Sequence", targets=_TARGETS, kind="regression", metric="pearson", conflicts="keep")
    names = (("Train", "train"), ("Val", "validation"), ("Test", "test"))
    files = [
        (f"{stem}_{part}.{end}", split)
        for part, split in names
        for stem, end in (("Sequences", "fa"), ("Sequences_activity", "txt"))
    ]
    yield Entry(
        name="deepstarr",
        family="H8",
        title="Drosophila enhancer activity, developmental and housekeeping (also H10, the same rows)",
        length="249",
        layout=layout,
        home="https://zenodo.org/records/5502060",
        licence="CC-BY-4.0",
        citation=_STARR_CITATION,
        folder="deepstarr",
        files=tuple(File(path, split, f"{_STARR}/{path}", f"md5:{_STARR_MD5[path]}") for path, split in files),
        reader="deepstarr",
        outputs=2,
    )
    yield Entry(
        name="deepstarr_sample",
        family="H8",
        title="3,000 rows of DeepSTARR, all of chromosome X",
        length="249",
        layout=layout,
        home="https://github.com/de-Boer-Lab/random-promoter-dream-challenge-2022",
        licence="MIT",
        citation=_STARR_CITATION,
        folder="deepstarr_sample",
        files=tuple(File(f"sample_{part}.txt") for part in ("train", "val", "test")),
        reader="deepstarr",
        outputs=2,
        note="windows of its files overlap one another: divided anew, not as published",
    )


def _others() -> Iterator[Entry]:
    yield Entry(
        name="mrl_human_utr",
        family="",
        title="mean ribosome load of human 5' UTRs",
        length="25-100",
        layout=Layout(sequence="utr", targets=("rl",), kind="regression", stranded=True, conflicts="keep"),
        home="https://www.ncbi.nlm.nih.gov/geo/query/acc.cgi?acc=GSE114002",
        licence="public (GEO)",
        citation="Sample et al. 2019, Optimus 5-Prime, Nature Biotechnology 37:803",
        folder="mrl_human_utr",
        files=(File("human_utrs_rl.csv", url=_UTR),),
        only=("set", "human"),
        outputs=1,
    )
    yield Entry(
        name="xpresso_expression",
        family="H18",
        title="median expression of human genes from 20 kb around their start; stands in for H18",
        length="20,000",
        layout=Layout(targets=("human_expr",), kind="regression", stranded=True, conflicts="keep"),
        home="https://github.com/vagarwal87/Xpresso",
        licence="MIT",
        citation="Agarwal and Shendure 2020, Xpresso, Cell Reports 31:107663",
        folder="xpresso_expression",
        files=(File("derived_chr20_chrX_promoters_20kb.tsv"),),
        place=("chrom", "start", "end", "strand"),
        outputs=1,
        note="published as HDF5 of one-hot letters; only a local table of the columns named here is read",
    )
    yield Entry(
        name="chr20_chromatin",
        family="H7",
        title="chromatin profile of human chromosome 20 as DeepSEA's: a label a ChIP-seq or DNase track",
        length="1,000",
        layout=Layout(kind="multilabel", metric="auroc"),
        home="https://www.encodeproject.org",
        licence="free (ENCODE)",
        citation="ENCODE Project Consortium 2012, Nature 489:57",
        folder="peaks",
        files=(File("tf_narrowpeak_hg19_chr20/*.narrowPeak.gz"), File("chromatin_bed_hg19_chr20/*.bed.gz")),
        reader="tracks",
        genome="genomes/human_GRCh37_chr20.fa.gz",
        note="local peak files; of other files make the same with several BED tracks and a genome",
    )


def _missing(name: str, family: str, title: str, length: str, layout: Layout, home: str, why: str) -> Entry:
    return Entry(name, family, title, length, layout, home, "", "", unavailable=why)


def _unavailable() -> Iterator[Entry]:
    label, number = Layout(kind="classification"), Layout(kind="regression")
    rna = Layout(kind="regression", stranded=True)
    beacon = "https://github.com/terry-r123/RNABenchmark"
    drive = "published in a shared drive that plain HTTP does not reach; save it as a table and give it as --data"
    why = "training rows are 3.5 GB of MATLAB 7.3 (HDF5), which is not read here; give BED tracks and a genome instead"
    yield _missing("deepsea", "H7", "DeepSEA's 919 chromatin labels", "1,000",
                   Layout(kind="multilabel"), "http://deepsea.princeton.edu", why)  # fmt: skip
    why = "the same rows and targets as H8: use `deepstarr`"
    yield _missing("enhancer_design", "H10", "design of Drosophila enhancers", "249", number,
                   "https://zenodo.org/records/5502060", why)  # fmt: skip
    why = "named by the paper, which neither describes nor publishes the data"
    yield _missing("signals_regions", "H17", "genomic signals and regions: polyadenylation and translation starts",
                   "?", label, "", why)  # fmt: skip
    why = "the paper gives neither data nor sequence length; `xpresso_expression` stands in"
    yield _missing("cell_type_expression", "H18", "expression by cell type", "?", number, "", why)
    why = "which variants are significant is not described; CAGI5 is scored without training, not finetuned"
    yield _missing("significant_variants", "H19", "variants with a significant effect", "?", label, "", why)
    yield _missing("programmable_switches", "", "RNA: activity of toehold switches (PRS)", "148", rna, beacon, drive)
    yield _missing("apa_isoform", "", "RNA: usage of polyadenylation sites (APA)", "186", rna, beacon, drive)


def entries() -> Iterator[Entry]:
    """Every data set, family by family."""
    yield from _gue_sets()
    yield from _activity()
    yield from _benchmarks()
    yield _enhancers(1, "human enhancers or not (iEnhancer)", ("nonenhancers", "enhancers"))
    yield _enhancers(2, "strong or weak human enhancers (iEnhancer)", ("weak_enhancers", "strong_enhancers"))
    yield from _others()
    yield from _unavailable()
