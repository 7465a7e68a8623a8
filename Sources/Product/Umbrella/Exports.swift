// What users of the library name in their own code: each module whose types the public interface shows.
@_exported import SwiftletCheckpoints
@_exported import SwiftletDatasets
@_exported import SwiftletExport
@_exported import SwiftletFormats
@_exported import SwiftletInference
@_exported import SwiftletLayers
@_exported import SwiftletModels
@_exported import SwiftletOpChecks
@_exported import SwiftletOps
@_exported import SwiftletOptimizers
@_exported import SwiftletTensorCore
@_exported import SwiftletTokenizers
@_exported import SwiftletTracking
@_exported import SwiftletTrainers
