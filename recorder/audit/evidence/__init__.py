"""What a third party can check without the record: keys, signed notes, checkpoints, time-stamps and proofs."""
