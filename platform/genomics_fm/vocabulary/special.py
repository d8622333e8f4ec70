"""Special tokens, shared by every vocabulary. Their ids are the published layout (SPEC B1)."""

SPECIAL_TOKENS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
UNK_ID, CLS_ID, SEP_ID, PAD_ID, MASK_ID = range(len(SPECIAL_TOKENS))

UNKNOWN = -1
"""Local id of a token that is no piece of its vocabulary; the ensemble turns it into `UNK_ID`."""
