"""SpeechTokenizer (Zhang et al. 2023): a codec whose first codebook carries the content of speech."""
