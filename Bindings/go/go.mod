module example.com/sluice/Bindings/go

go 1.19
