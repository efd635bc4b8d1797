"""The edge: command line, params, stages, progress, errors. Only here: params.yaml, argv, printing."""
