import Testing

/// Tests that train: one after another, since they count the memory and the threads of the whole process.
@Suite(.serialized) enum TrainingTests {}
