"""The commands of `genomics-fm`, one function each; `genomics_fm.cli` names them."""
