import SwiftletCPU
import SwiftletFormats
import SwiftletModels
import SwiftletTensorCore
import SwiftletTracking

/// A recipe carried out in a run folder: prepares data and model, trains, evaluates, saves, resumes.
public final class TrainingSession {
  /// What surrounds a session.
  public struct Surroundings {
    /// Version of the program, for `run.json`.
    public var version = ""
    /// Where the model lies and computes.
    public var device = Device.cpu
    /// Asked after every step; true ends the run with a checkpoint.
    public var isInterrupted: () -> Bool = { false }
    /// Turns `model.source` into a folder: the hub's cache. By default paths only.
    public var resolveModel: (String) throws -> String = { $0 }
    /// Where events go besides `metrics.jsonl`.
    public var sinks: [any EventSink] = []
    /// No hub, no interruption, no sinks.
    public init() {}
  }

  /// The effective recipe.
  public let recipe: Recipe
  let surroundings: Surroundings
  let run: Run
  let folder: RunFolder
  let data: PreparedData
  private let source: ModelSource
  private let exports: RunExports
  private let choice: DynamicChoice
  let loop: TrainingLoop
  let metrics: MetricsFile
  var record: RunRecord
  private var pendingSave = false
  private var lastMetrics: StepMetrics?

  /// Prepares a run up to its first step.
  /// - Parameters:
  ///   - recipe: what to do; nil takes the resumed run's own.
  ///   - resume: a run folder to go on in.
  /// - Throws: before anything is trained, where recipe, data, model or folder cannot be used, or a resumed run was made differently.
  public init(_ recipe: Recipe?, resume: String? = nil, _ surroundings: Surroundings) throws {
    self.surroundings = surroundings
    run = Run(surroundings.sinks)
    let run = run
    if let resume {
      guard Files.isFolder(resume) else { throw RunFolderError(description: "\(resume) is not a run folder: nothing to resume") }
      folder = try RunFolder(resume)
      self.recipe = try TrainingSession.resumed(recipe, folder)
    } else {
      guard let recipe else { throw TrainingError("a recipe is wanted, or a run to resume") }
      self.recipe = recipe
      folder = try TrainingSession.newFolder(recipe)
    }
    let chosen = self.recipe
    try chosen.validate()
    var source = try ModelSource(chosen, on: surroundings.device, resolve: surroundings.resolveModel)
    exports = try RunExports(chosen, source, folder)
    data = try PreparedData(chosen, source, run)
    let checkpoint = resume == nil ? nil : try folder.newestGood { run.warn($0) }
    choice = try DynamicChoice(chosen, source, folder, resumes: resume != nil, checkpoint: checkpoint.map(folder.checkpoint)) {
      run.warn($0)
    }
    source.fourBit = choice.scheme
    self.source = source
    let settled = try TrainingSession.fitting(chosen, source, data, surroundings.device)
    let model = try source.model(chosen, checkpoint: checkpoint.map(folder.checkpoint))
    try data.check(vocabulary: model.vocabularySize)
    try chosen.plan.apply(to: surroundings.device)
    loop = TrainingLoop(model, rows: data.rows, heldOut: data.heldOut, settled)
    record = RunRecord(
      version: surroundings.version, recipe: chosen, dataHash: data.hash, rows: data.rows.count, heldOutRows: data.heldOut.count,
      started: RunRecord.now, totalSteps: loop.plan.totalSteps, samples: RunSamples.of(data))
    if resume != nil { try TrainingSession.restore(loop, folder, checkpoint, data, chosen, &record, run) }
    metrics = try MetricsFile(folder.file("metrics.jsonl"), keepingStepsUpTo: loop.state.step)
    run.add(metrics)
    try AtomicFile.write(folder.file("recipe.yaml"), bytes: chosen.yaml.utf8)
    try choice.write(to: folder.path)
    try record.write(to: folder)
    try checkDisk()
    announce()
  }

  /// Refuses a run that does not fit on its GPU before any weight is loaded; settles which blocks are computed again.
  private static func fitting(_ recipe: Recipe, _ source: ModelSource, _ data: PreparedData, _ device: Device) throws -> Recipe {
    guard device.isCUDA else { return recipe }
    let (gpu, stored) = (PlannedGPU(device.gpu), source.computeFormat(recipe))
    let recipe = try recipe.settled(on: gpu, stored: stored, rows: data.rows) { try source.simulated(recipe, $0) }
    let plan = try MemoryPlan(recipe, on: gpu, stored: stored, rows: data.rows) { try source.simulated(recipe, $0) }
    guard !plan.fits else { return recipe }
    throw TrainingError("this run does not fit on \(device.gpu.name)\n\(plan)")
  }

  /// A folder without a run in it.
  private static func newFolder(_ recipe: Recipe) throws -> RunFolder {
    try recipe.validate()
    guard let output = recipe.output else { throw TrainingError("output: a folder for the run is wanted") }
    let folder = try RunFolder(output)
    guard !folder.holdsRun else {
      throw RunFolderError(
        description: "\(output) already holds a run\nfix: go on with --resume \(output), choose another output, or remove the folder")
    }
    return folder
  }

  /// The recipe of a run that goes on: its own, with what may change taken from `given`.
  private static func resumed(_ given: Recipe?, _ folder: RunFolder) throws -> Recipe {
    let path = folder.file("recipe.yaml")
    guard Files.exists(path) else {
      guard let given else { throw RunFolderError(description: "\(folder.path) holds no recipe.yaml: it is not a run folder") }
      return given
    }
    let own = try Recipe(file: path)
    guard var given else { return own }
    // Neither changes a bit of the training, so they are free to change.
    var comparable = own
    (comparable.saving, comparable.output) = (given.saving, given.output)
    (comparable.memory.checkpoint, comparable.memory.offload) = (given.memory.checkpoint, given.memory.offload)
    comparable.memory.budget = given.memory.budget
    let differences = given.differences(from: comparable)
    guard differences.isEmpty else {
      throw RunFolderError(
        description: """
          the recipe differs from the one that \(folder.path) was started with
          \(differences.joined(separator: "\n"))
          fix: resume with the same recipe (only saving, output, memory.checkpoint, budget and offload may change), or start a new run
          """)
    }
    given.output = folder.path
    return given
  }

  private static func restore(
    _ loop: TrainingLoop, _ folder: RunFolder, _ checkpoint: Int?, _ data: PreparedData, _ recipe: Recipe, _ record: inout RunRecord,
    _ run: Run
  ) throws {
    let before = (try? JSON(parsing: Files.read(folder.file("run.json")))) ?? .null
    if let started = before["started"]?.string { record.started = started }
    record.resumedFrom = (before["resumed_from_steps"]?.array ?? []).compactMap(\.int) + [checkpoint ?? 0]
    var hash = before["data_hash"]?.string
    guard let checkpoint else {
      try check(hash, data, folder)
      return run.warn("\(folder.path) has no checkpoint yet: starting from step 1")
    }
    let state = try CheckpointState(folder: folder.checkpoint(checkpoint))
    hash = state.dataHash
    try check(hash, data, folder)
    try OptimizerFile.load(folder.checkpoint(checkpoint), into: loop.optimizer)
    loop.restore(state.loop)
    record.state = state.loop
  }

  private static func check(_ hash: String?, _ data: PreparedData, _ folder: RunFolder) throws {
    guard let hash, hash != data.hash else { return }
    throw RunFolderError(
      description: """
        the data differ from those that \(folder.path) was started with
        wanted fingerprint \(hash), found \(data.hash)
        fix: put the same rows and tokenizer back, or start a new run
        """)
  }

  private func announce() {
    for note in data.notes { run.send(.note("data", note)) }
    for note in choice.notes { run.send(.note("weights", note)) }
    let trained = loop.parameters.reduce(0) { $0 + $1.shape.count }
    let all = (loop.model.parameters + loop.model.adapterParameters).reduce(0) { $0 + $1.shape.count }
    run.send(.note("model", "\(source.name)  \(Text.short(Double(trained))) of \(Text.short(Double(all))) weights are trained"))
    run.send(
      .note(
        "run",
        "\(folder.path)  \(Text.grouped(loop.plan.totalSteps)) steps of \(loop.plan.window) rows, \(Text.grouped(loop.plan.stepsPerEpoch)) an epoch"
          + (loop.state.step > 0 ? "  going on after step \(Text.grouped(loop.state.step))" : "")))
  }
}

extension TrainingSession {
  /// Trains to the end, or to an interruption.
  /// - Throws: `TrainingError` where training cannot go on; the last good checkpoint stays.
  @discardableResult
  public func train() throws -> Outcome {
    do {
      let outcome = try trainLoop()
      try end(outcome)
      return outcome
    } catch {
      try? end(.failed("\(error)"))
      throw error
    }
  }

  private func trainLoop() throws -> Outcome {
    while !loop.isDone {
      if surroundings.isInterrupted() { return try stop() }
      let metrics = try loop.step()
      lastMetrics = metrics
      record.finalLoss = metrics.loss
      run.send(.step(metrics))
      if loop.isEvaluationDue, let evaluation = loop.evaluate() {
        record.evaluationLoss = evaluation.loss
        run.send(.evaluation(evaluation))
      }
      saveIfDue()
    }
    try saveFinal()
    return .finished
  }

  /// An interruption: a checkpoint of the last whole step.
  private func stop() throws -> Outcome {
    if loop.state.step > 0 { try save() }
    return .interrupted
  }

  private func saveIfDue() {
    let every = recipe.saving.every
    guard every > 0, pendingSave || loop.state.step % every == 0 || loop.isDone else { return }
    let isRetry = pendingSave && loop.state.step % every != 0 && !loop.isDone
    // Between regular places only where there is room again: a failed attempt costs time.
    if isRetry, !hasRoom { return }
    do {
      try save()
      pendingSave = false
    } catch {
      if !pendingSave { run.warn("no checkpoint at step \(loop.state.step): \(error); training goes on, saving is tried again") }
      pendingSave = true
    }
  }

  private func save() throws {
    guard hasRoom else {
      throw FileError(
        "save a checkpoint in", folder.path,
        reason:
          "about \(Text.bytes(checkpointBytes)) are needed, \(Text.bytes(Files.freeBytes(folder.path) ?? 0)) are free: free some space")
    }
    try metrics.sync()
    let step = loop.state.step
    let state = CheckpointState(
      loop: loop.state, epoch: loop.plan.epoch(after: step), totalSteps: loop.plan.totalSteps, seed: recipe.plan.seed, dataHash: data.hash,
      lastMetrics: lastMetrics)
    let path = try folder.save(step: step) { target in
      try ModelSource.saveTrained(loop.model, recipe, to: target)
      try OptimizerFile.save(loop.optimizer, to: target)
      try data.copyTokenizer(to: target)
      try choice.write(to: target)
      try AtomicFile.write(target + "/" + CheckpointState.fileName, bytes: (state.json.serialized(indent: 2) + "\n").utf8)
    }
    try folder.rotate(keep: recipe.saving.keep)
    record.state = loop.state
    try record.write(to: folder)
    run.send(.checkpoint(step: step, path: path))
  }

  private func saveFinal() throws {
    try folder.publish("final") { target in
      try source.saveFinal(loop.model, recipe, to: target)
      try data.copyTokenizer(to: target)
      try choice.write(to: target)
    }
    try exports.write(loop.model, samples: record.samples, before: { run.send(.note("export", $0)) }) { report in
      record.exports.append(report.json)
      run.send(.exported(report.text, report.json.object ?? JSONObject()))
    }
  }

  private func end(_ outcome: Outcome) throws {
    record.outcome = outcome
    record.ended = RunRecord.now
    record.state = loop.state
    try record.write(to: folder)
    let path = outcome == .finished ? folder.file("final") : folder.path
    run.send(.ended(outcome, step: loop.state.step, path: path))
  }

  /// Bytes of one checkpoint, roughly: trained weights, moments, a little else.
  private var checkpointBytes: Int {
    let trained = loop.parameters.reduce(0) { $0 + 4 * $1.shape.count }
    return trained + loop.optimizer.state.reduce(0) { $0 + $1.tensor.byteCount } + (16 << 20)
  }

  private var hasRoom: Bool { Files.freeBytes(folder.path).map { $0 > checkpointBytes } ?? true }

  private func checkDisk() throws {
    guard let free = Files.freeBytes(folder.path) else { return }
    let present = min(folder.checkpointSteps.count, recipe.saving.keep + 1)
    let wanted = checkpointBytes * (recipe.saving.every > 0 ? max(1, recipe.saving.keep + 1 - present) : 1) + exports.byteCount
    guard free < wanted else { return }
    throw RunFolderError(
      description: """
        the disk of \(folder.path) is too full for this run
        \(recipe.saving.keep) checkpoints, one being written, and \(recipe.saving.export.count) exports need about \(Text.bytes(wanted)), \
        \(Text.bytes(free)) are free
        fix: free some space, lower saving.keep, export less, or choose another output
        """)
  }
}
