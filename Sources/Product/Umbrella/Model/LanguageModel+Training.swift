extension LanguageModel {
  /// The rows of a data set as this model reads them: rendered by its template, tokenized, masked, cut to the context.
  /// - Throws: where the model has no tokenizer or template, or the rows cannot be trained on, with counts and a sample.
  public func rows(_ data: Dataset) throws -> [TokenRow] {
    let renderer = try RowRenderer(
      tokenizer: requireText().tokenizer, stopTokens: Set(stopIDs.map(Int.init)), trainOn: data.options.trainOn,
      contextLength: contextLength)
    let tokenized = try TokenizedDataset(data, renderer)
    try tokenized.report.check()
    return try (0..<tokenized.count).map { index in
      let row = try tokenized.row(index)
      return TokenRow(ids: row.ids, labels: row.labels)
    }
  }
}

extension Dataset {
  /// Opens a file or folder of rows.
  /// - Throws: `DatasetError` that lists up to 20 bad rows by file, line and field.
  public init(_ path: String, layout: DataLayout, trainOn: TrainOn = .responses) throws {
    try self.init(path, DatasetOptions(layout: layout, trainOn: trainOn))
  }
}

extension SFTTrainer {
  /// A trainer of a model on a data set: what is trainable in the model, its adapter or every weight, learns the rows.
  /// - Throws: as `LanguageModel.rows`.
  public convenience init(
    _ model: LanguageModel, on data: Dataset, heldOut: Dataset? = nil, optimizer: OptimizerChoice? = nil, recipe: Recipe = Recipe()
  ) throws {
    try self.init(
      model.network, on: try model.rows(data), heldOut: try heldOut.map(model.rows) ?? [], optimizer: optimizer, recipe: recipe)
  }
}
