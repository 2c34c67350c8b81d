module checks

go 1.19

require sluice v0.0.0

replace sluice => ../../../Examples/go
