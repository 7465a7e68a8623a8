import Foundation
import SwiftletFormats
import SwiftletTrainers
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension TrainingTests {
  /// `swiftlet train`, killed without warning again and again, half of the times while it saves: no checkpoint is lost or damaged, and in the
  /// end every line and every byte is that of the unbroken run. `SWIFTLET_KILLS` says how often (8 where it does not).
  @Suite(.serialized) struct KillTests {
    @Test func killedAndResumed() throws {
      guard FileManager.default.isExecutableFile(atPath: Command.binary.path) else {
        return print("skipped: \(Command.binary.path) is not built")
      }
      let wanted = ProcessInfo.processInfo.environment["SWIFTLET_KILLS"].flatMap { Int($0) } ?? 8
      let scene = try Scene(rows: 40)
      let recipe = try file(scene, "whole")
      let whole = try Command.run(["train", recipe, "--quiet"])
      #expect(whole.code == 0, "\(whole.error)")
      let lines = try scene.metrics("whole")
      let weights = try scene.bytes("whole/final/adapter_model.safetensors")
      var (kills, whileSaving, round) = (0, 0, 0)
      while kills < wanted {
        round += 1
        let output = "run\(round)"
        let recipe = try file(scene, output)
        while true {
          let begun = Fixtures.exists(URL(filePath: scene.path(output) + "/recipe.yaml"))
          let arguments = ["train", recipe, "--quiet"] + (begun ? ["--resume", scene.path(output)] : [])
          var killed = false
          let result = try Command.run(arguments) { process in
            if kills < wanted { killed = strike(process, folder: scene.path(output), whileSaving: kills % 2 == 0) }
          }
          #expect(!result.error.contains("falling back"), "\(result.error)")
          if result.code == 0 { break }
          #expect(killed && result.code == -9, "ended with \(result.code): \(result.error)")
          guard killed else { return }
          kills += 1
          if isSaving(scene.path(output)) { whileSaving += 1 }
          let good = RunFolder.checkpointSteps(scene.path(output))
          for step in good { try Manifest.verify("\(scene.path(output))/checkpoint-\(step)") }
        }
        #expect(try scene.metrics(output) == lines)
        #expect(try scene.bytes("\(output)/final/adapter_model.safetensors") == weights)
        let left = Fixtures.names(in: URL(filePath: scene.path(output))).filter { $0.hasSuffix(".tmp") || $0.hasPrefix("damaged") }
        #expect(left.isEmpty, "\(left)")
      }
      print("killed \(kills) times, \(whileSaving) of them in the middle of a save, over \(round) runs")
    }

    /// Ctrl-C: a checkpoint, exit code 130, and the same end after a resume.
    @Test func interrupted() throws {
      guard FileManager.default.isExecutableFile(atPath: Command.binary.path) else {
        return print("skipped: \(Command.binary.path) is not built")
      }
      let scene = try Scene(rows: 40)
      #expect(try Command.run(["train", try file(scene, "whole"), "--quiet"]).code == 0)
      let recipe = try file(scene, "run")
      let metrics = scene.path("run/metrics.jsonl")
      let result = try Command.run(["train", recipe]) { process in
        while process.isRunning, ((try? Data(contentsOf: URL(filePath: metrics)))?.count ?? 0) < 600 { usleep(500) }
        process.interrupt()
      }
      #expect(result.code == 130, "\(result.error)")
      #expect(result.error.contains("--resume"))
      #expect(!RunFolder.checkpointSteps(scene.path("run")).isEmpty)
      #expect(try Command.run(["train", recipe, "--resume", scene.path("run"), "--quiet"]).code == 0)
      #expect(try scene.metrics("run") == scene.metrics("whole"))
      #expect(try scene.bytes("run/final/adapter_model.safetensors") == scene.bytes("whole/final/adapter_model.safetensors"))
    }

    private func file(_ scene: Scene, _ output: String) throws -> String {
      let recipe = try scene.recipe(output, ["plan.epochs=4", "saving.every=1", "data.holdOut=4"])
      let path = scene.path(output + ".yaml")
      try Data(recipe.yaml.utf8).write(to: URL(filePath: path))
      return path
    }

    private func isSaving(_ folder: String) -> Bool {
      ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).contains {
        $0.hasPrefix("checkpoint-") && $0.hasSuffix(".tmp")
      }
    }

    /// Kills the process at a random moment of a run, or a random moment after a save began. False where it ended before.
    private func strike(_ process: Process, folder: String, whileSaving: Bool) -> Bool {
      let end = Date().addingTimeInterval(Double.random(in: 0.02...0.6))
      while process.isRunning, Date() < end { usleep(300) }
      if whileSaving {
        while process.isRunning, !isSaving(folder) { usleep(100) }
        usleep(UInt32.random(in: 0...3000))
      }
      guard process.isRunning else { return false }
      return kill(process.processIdentifier, SIGKILL) == 0
    }
  }
}
