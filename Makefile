# make          what to do first
# make demo     the echo server and client at work, over each backend
# make test     all tests
# make help     all targets
#
# If a target needs a package that is missing, Tools/need installs it from Debian.

.DEFAULT_GOAL := start
.DELETE_ON_ERROR:
SHELL := /bin/bash

VERSION := $(shell cat VERSION)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
BUILD ?= build
OPTIMIZE ?= -O2 -g
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
# gcc takes what is unlikely out of a function, and describes the two parts' stacks one by one. clang does not, and
# has no such option.
IN_ONE_PIECE := $(shell echo | $(CC) -fno-reorder-blocks-and-partition -Werror -E - >/dev/null 2>&1 && \
	echo -fno-reorder-blocks-and-partition)
CFLAGS_ALL = -std=c11 $(WARNINGS) $(OPTIMIZE) $(SANITIZE) -fPIC -fvisibility=hidden \
	-ffunction-sections -fdata-sections $(IN_ONE_PIECE) -I$(CORE_DIR)/include -I$(CORE_DIR) $(CFLAGS)

# From the lowest layer up: the order of the one file.
CORE_DIR := CSources/CSluice
LAYERS := base bytes timers network readiness engines loop
CORE := $(foreach layer,$(LAYERS),$(sort $(shell find $(CORE_DIR)/$(layer) -name '*.c')))
CORE_OBJECTS := $(CORE:%.c=$(BUILD)/%.o)

# libevent as a backend: an object of its own, which nothing in the core names.
LIBEVENT_DIR := CSources/CSluiceLibevent
LIBEVENT_OBJECT := $(BUILD)/$(LIBEVENT_DIR)/libevent.o
$(LIBEVENT_OBJECT): CFLAGS_ALL += -I$(LIBEVENT_DIR)/include

# ---- The C library ------------------------------------------------------------------------------

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC $@"
	@$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

-include $(CORE_OBJECTS:.o=.d) $(LIBEVENT_OBJECT:.o=.d)

# One object, with its internal names made local. So the archive exports no more than the shared
# library.
$(BUILD)/sluice.o: $(CORE_OBJECTS)
	ld -r --unique -o $@ $^
	objcopy --localize-hidden $@

$(BUILD)/libsluice.a: $(BUILD)/sluice.o
	rm -f $@
	ar rcs $@ $<

# How lib$(1).so is linked: its name, and the versions of its symbols.
shared = $(CC) -shared $(SANITIZE) $(LDFLAGS) -Wl,-z,defs -Wl,-soname,lib$(1).so.$(SOVERSION) \
	-Wl,--version-script=Packaging/$(1).map -o $@ $(filter-out %.map,$^)

$(BUILD)/libsluice.so.$(VERSION): $(CORE_OBJECTS) Packaging/sluice.map
	$(call shared,sluice)

$(BUILD)/libsluice.so: $(BUILD)/libsluice.so.$(VERSION)
	ln -sf $(<F) $(BUILD)/libsluice.so.$(SOVERSION)
	ln -sf libsluice.so.$(SOVERSION) $@

# A second library, for programs that want libevent as a backend.
$(BUILD)/libsluice-libevent.so.$(VERSION): $(LIBEVENT_OBJECT) $(BUILD)/libsluice.so \
		Packaging/sluice-libevent.map
	$(call shared,sluice-libevent) -levent_core

$(BUILD)/libsluice-libevent.so: $(BUILD)/libsluice-libevent.so.$(VERSION)
	ln -sf $(<F) $(BUILD)/libsluice-libevent.so.$(SOVERSION)
	ln -sf libsluice-libevent.so.$(SOVERSION) $@

$(BUILD)/libsluice-libevent.a: $(LIBEVENT_OBJECT)
	rm -f $@
	ar rcs $@ $<

LIBEVENT_LIBRARIES := $(BUILD)/libsluice-libevent.a $(BUILD)/libsluice-libevent.so

.PHONY: lib lib-libevent
lib: $(BUILD)/libsluice.a $(BUILD)/libsluice.so ##use libsluice.a and libsluice.so

lib-libevent: deps-libevent ##use libsluice-libevent.a and .so: libevent as a backend
	@$(MAKE) --no-print-directory $(LIBEVENT_LIBRARIES)

# ---- One file -----------------------------------------------------------------------------------

# The core to be copied into a program: sluice.c, with the public headers beside it.
ONE_FILE := $(BUILD)/sluice.c
ONE_FILE_OBJECT := $(BUILD)/one-file/sluice.o

$(ONE_FILE): Tools/amalgamate VERSION LICENSE $(CORE) $(shell find $(CORE_DIR) -name '*.h')
	@mkdir -p $(@D)
	Tools/amalgamate $(@D) $(CORE)

$(ONE_FILE_OBJECT): $(ONE_FILE)
	@mkdir -p $(@D)
	@echo "CC $@"
	@$(CC) -std=c11 $(WARNINGS) $(OPTIMIZE) $(SANITIZE) -c $< -o $@

.PHONY: amalgamation
amalgamation: $(ONE_FILE) ##use build/sluice.c and sluice.h: the core as one file, to copy

# Packages of other languages contain it.
CORE_IN_RUST := Bindings/rust/core
CORE_IN_PYTHON := Bindings/python/core
CORE_IN_GO := Bindings/go/sluice.c Bindings/go/sluice.h
CORE_IN_NODE := Bindings/node/core

.PHONY: go-module
go-module: $(CORE_IN_GO) ##languages copy the core into the module for Go, where cgo builds it

$(CORE_IN_GO): $(ONE_FILE)
	cp $(ONE_FILE) $(BUILD)/sluice.h Bindings/go

# The headers that its addon is built with. Empty if there is no Node.js.
NODE_HEADER = $(shell node -p 'path.resolve(process.execPath, "../../include/node/node_api.h")' 2>/dev/null)

.PHONY: node-package
node-package: $(ONE_FILE) ##languages copy the core into the package for Node.js, and build its addon there
	@mkdir -p $(CORE_IN_NODE)
	cp -u $(ONE_FILE) $(BUILD)/sluice.h $(CORE_IN_NODE)
	+$(MAKE) --no-print-directory -C Bindings/node

.PHONY: crate
crate: $(ONE_FILE) ##languages the crate for Rust, as it would be published, and a build of it
	@mkdir -p $(CORE_IN_RUST)
	cp -u $(ONE_FILE) $(BUILD)/sluice.h $(CORE_IN_RUST)
	CARGO_TARGET_DIR=$(BUILD)/languages/rust cargo package --offline --allow-dirty --quiet \
		--manifest-path Bindings/rust/Cargo.toml

# ---- Man pages ----------------------------------------------------------------------------------

# The pages of section 3 are made from the headers. The page of sluice-echo is made from the program's help, which needs
# Swift. So that page is kept in docs, and a test compares it with the help.
MAN := $(BUILD)/man/sluice.3

$(MAN): Tools/man Tools/header.py VERSION Examples/c/echo.c $(wildcard CSources/*/include/*.h)
	Tools/man $(@D)

.PHONY: man
man: $(MAN) ##docs the man pages, in build/man: sluice(3), a page for each group of calls, a name for each call

.PHONY: python-package
python-package: $(ONE_FILE) ##languages the package for Python, as it would be published, in build/languages/python
	@mkdir -p $(CORE_IN_PYTHON)
	cp -u $(ONE_FILE) $(BUILD)/sluice.h VERSION $(CORE_IN_PYTHON)
	$(call in_python_env,cd Bindings/python && \
		../../$(PYTHON_ENV)/bin/python setup.py --quiet sdist --dist-dir ../../$(BUILD)/languages/python)

# ---- Installing ---------------------------------------------------------------------------------

# The usual names: PREFIX is where the library will live, DESTDIR a folder to stage it in.
PREFIX ?= /usr/local
INCLUDEDIR ?= $(PREFIX)/include
LIBDIR ?= $(PREFIX)/lib
MANDIR ?= $(PREFIX)/share/man

TO_INCLUDE = $(DESTDIR)$(INCLUDEDIR)
TO_MAN = $(DESTDIR)$(MANDIR)
TO_LIB = $(DESTDIR)$(LIBDIR)

# A text file that is installed, made from a template: it says where things are, relative to itself or to the root.
FILLED = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	-e 's|@VERSION@|$(VERSION)|' -e 's|@SOVERSION@|$(SOVERSION)|' \
	-e "s|@INCLUDE_FROM_CMAKE@|$$(realpath -m --relative-to='$(LIBDIR)/cmake/Sluice' '$(INCLUDEDIR)')|"

define INSTALL_TEXT
	$(FILLED) $(1) >'$(2)'
	chmod 644 '$(2)'
endef

# A library: its headers, and the NAME of lib$(NAME).a, lib$(NAME).so and $(NAME).pc. (A variable INSTALL
# would be overridden: packagers give one.)
define INSTALL_LIBRARY
	install -d '$(TO_INCLUDE)' '$(TO_LIB)/pkgconfig'
	install -m 644 $(1) '$(TO_INCLUDE)'
	install -m 644 $(BUILD)/lib$(2).a '$(TO_LIB)'
	install -m 755 $(BUILD)/lib$(2).so.$(VERSION) '$(TO_LIB)'
	ln -sf lib$(2).so.$(VERSION) '$(TO_LIB)/lib$(2).so.$(SOVERSION)'
	ln -sf lib$(2).so.$(SOVERSION) '$(TO_LIB)/lib$(2).so'
	$(call INSTALL_TEXT,Packaging/$(2).pc.in,$(TO_LIB)/pkgconfig/$(2).pc)
endef

define UNINSTALL_LIBRARY
	rm -f $(1:%='$(TO_INCLUDE)/%') '$(TO_LIB)/pkgconfig/$(2).pc' '$(TO_LIB)/lib$(2).a' \
		'$(TO_LIB)/lib$(2).so' '$(TO_LIB)/lib$(2).so.$(SOVERSION)' '$(TO_LIB)/lib$(2).so.$(VERSION)'
endef

HEADERS := $(CORE_DIR)/include/sluice.h $(CORE_DIR)/include/sluice_source.h Bindings/cpp/sluice.hpp

# Says that root is needed, before anything is built. The nearest folder that exists must be writable.
.PHONY: may-install
may-install:
	@folder='$(TO_LIB)'; while [ ! -e "$$folder" ]; do folder=$$(dirname "$$folder"); done; \
	[ -w "$$folder" ] || { echo "make install: $$folder is not yours to write to." \
		"Run it as root, as by sudo, or choose another place, as by PREFIX=\$$HOME/.local" >&2; exit 1; }

# If libevent is installed, its part is installed, too.
.PHONY: install install-libevent install-man uninstall
install: may-install lib ##use install headers, libraries, files that find them, man pages; takes PREFIX and DESTDIR
	$(call INSTALL_LIBRARY,$(HEADERS),sluice)
	install -d '$(TO_LIB)/cmake/Sluice'
	$(call INSTALL_TEXT,Packaging/cmake/SluiceConfig.cmake.in,$(TO_LIB)/cmake/Sluice/SluiceConfig.cmake)
	$(call INSTALL_TEXT,Packaging/cmake/SluiceConfigVersion.cmake.in,$(TO_LIB)/cmake/Sluice/SluiceConfigVersion.cmake)
	@$(if $(LIBEVENT),$(MAKE) --no-print-directory install-libevent, \
		echo "libsluice-libevent is left out: libevent-dev is not installed")
	@if command -v python3 >/dev/null; then $(MAKE) --no-print-directory install-man; \
		else echo "the man pages are left out: python3 is not installed"; fi

install-man: $(MAN)
	install -d '$(TO_MAN)/man1' '$(TO_MAN)/man3'
	install -m 644 docs/man/sluice-echo.1 '$(TO_MAN)/man1'
	install -m 644 $(dir $(MAN))*.3 '$(TO_MAN)/man3'

install-libevent: $(LIBEVENT_LIBRARIES)
	$(call INSTALL_LIBRARY,$(LIBEVENT_DIR)/include/sluice_libevent.h,sluice-libevent)

uninstall: ##use remove what install put there, with the same PREFIX and DESTDIR
	$(call UNINSTALL_LIBRARY,$(notdir $(HEADERS)),sluice)
	$(call UNINSTALL_LIBRARY,sluice_libevent.h,sluice-libevent)
	rm -f '$(TO_LIB)/cmake/Sluice/SluiceConfig.cmake' '$(TO_LIB)/cmake/Sluice/SluiceConfigVersion.cmake'
	rmdir --ignore-fail-on-non-empty '$(TO_LIB)/cmake/Sluice' 2>/dev/null || true
	rm -f '$(TO_MAN)/man1/sluice-echo.1' '$(TO_MAN)/man3/sluice.3' '$(TO_MAN)/man3/'sluice_*.3

# For Debian and systems based on it: see Packaging/debian.
.PHONY: deb test-deb
deb: ##use libsluice0 and libsluice-dev, as Debian packages, in build/deb
	@Tools/need gcc g++ binutils libc6-dev debhelper dpkg-dev fakeroot lintian
	Packaging/build-deb $(BUILD)/deb

test-deb: deb ##tests the Debian packages, installed into a root of their own, with their examples
	@Tools/need debootstrap
	Tests/run-deb $(BUILD)/deb

# ---- Tests in C ---------------------------------------------------------------------------------

# The tests count calls to the allocator and the kernel, and make them fail. Tests/Core/support/faults.c declares the real
# calls. The linker puts a wrapper in front of each of them.
WRAPPED := $(shell grep -oh '__real_[a-z_0-9]*' Tests/Core/support/faults.c | sort -u)
WRAP := $(WRAPPED:__real_%=-Wl,--wrap=%)
TEST_DIR := Tests/Core
TEST_SOURCES := $(sort $(wildcard $(TEST_DIR)/*/*.c))
TEST_PROGRAMS := $(sort $(wildcard $(TEST_DIR)/*/test_*.c))
CORE_TESTS := $(TEST_PROGRAMS:%.c=$(BUILD)/%)
TEST_SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(TEST_PROGRAMS),$(TEST_SOURCES)))

TEST_INCLUDES := -I$(TEST_DIR)/support -I$(LIBEVENT_DIR)/include
$(BUILD)/Tests/Core/%.o: CFLAGS_ALL += $(TEST_INCLUDES)
$(BUILD)/Tests/Fuzz/%.o: CFLAGS_ALL += $(TEST_INCLUDES)

-include $(CORE_TESTS:=.d) $(TEST_SUPPORT:.o=.d)

.SECONDARY: $(TEST_SUPPORT) $(CORE_TESTS:=.o)

# libevent's archive, not its shared library, so that its calls are counted and made to fail, too.
TEST_LIBRARIES := -lcmocka -l:libevent_core.a -lpthread -lutil

$(CORE_TESTS): %: %.o $(TEST_SUPPORT) $(CORE_OBJECTS) $(LIBEVENT_OBJECT)
	@echo "LD $@"
	@$(CC) $(SANITIZE) $(WRAP) -o $@ $^ $(TEST_LIBRARIES)

# Runs the tests in Python of a folder, with a process for each file.
run_python = @Tests/beside $(patsubst $(1)/%.py,'cd $(1) && python3 -W error -m unittest %', \
	$(wildcard $(1)/test_*.py))

.PHONY: test-c
test-c: deps-c deps-libevent ##tests the tests of the core, without Swift
	@$(MAKE) --no-print-directory $(CORE_TESTS)
	@Tests/beside $(CORE_TESTS)

# The same tests on the one file, except those that call functions that are static there. Such a test includes a
# header of the core, which is named with its folder, or plays a model that does so.
internal = $(shell grep -lE '^\#include ".*/' $(1))
ONE_FILE_TESTS = $(patsubst $(TEST_DIR)/%.c,$(BUILD)/one-file/%,$(filter-out \
	$(call internal,$(TEST_PROGRAMS)) %/test_queue_model.c %/test_timers_model.c,$(TEST_PROGRAMS)))
ONE_FILE_SUPPORT = $(filter-out $(patsubst %.c,$(BUILD)/%.o,$(call internal,$(TEST_SOURCES))), \
	$(TEST_SUPPORT))

$(BUILD)/one-file/%: $(BUILD)/Tests/Core/%.o $(TEST_SUPPORT) $(ONE_FILE_OBJECT) $(LIBEVENT_OBJECT)
	@mkdir -p $(@D)
	@echo "LD $@"
	@$(CC) $(SANITIZE) $(WRAP) -o $@ $< $(ONE_FILE_SUPPORT) $(ONE_FILE_OBJECT) $(LIBEVENT_OBJECT) \
		$(TEST_LIBRARIES)

.PHONY: test-one-file
test-one-file: deps-c deps-libevent ##tests the tests of the core that need no more than sluice.h, on the one file
	@$(MAKE) --no-print-directory $(ONE_FILE_TESTS)
	@Tests/beside $(ONE_FILE_TESTS)

# The headers are C99, C11 and C++17, and need no other header before them. sluice.hpp has more in C++20.
.PHONY: test-header
test-header: deps-c ##tests the headers in C99, C11, C++17 and C++20
	$(CC) -std=c99 $(WARNINGS) -fsyntax-only -x c $(CORE_DIR)/include/sluice.h
	$(CC) -std=c11 $(WARNINGS) -fsyntax-only -x c $(CORE_DIR)/include/sluice.h
	$(CXX) -std=c++17 $(WARNINGS) -fsyntax-only -x c++ $(CORE_DIR)/include/sluice.h
	@# With -include, because a compiler warns about unused functions in a source file of its own.
	$(CC) -std=c99 $(WARNINGS) -fsyntax-only -I$(CORE_DIR)/include -include sluice_source.h \
		-x c /dev/null
	$(CXX) -std=c++17 $(WARNINGS) -fsyntax-only -I$(CORE_DIR)/include -include sluice_source.h \
		-x c++ /dev/null
	$(CC) -std=c99 $(WARNINGS) -fsyntax-only -I$(CORE_DIR)/include -x c \
		$(LIBEVENT_DIR)/include/sluice_libevent.h
	$(CXX) -std=c++17 $(WARNINGS) -fsyntax-only -I$(CORE_DIR)/include -x c++ \
		$(LIBEVENT_DIR)/include/sluice_libevent.h
	$(CXX) -std=c++17 $(WARNINGS) -fsyntax-only -I$(CORE_DIR)/include -x c++ Bindings/cpp/sluice.hpp
	$(CXX) -std=c++20 $(WARNINGS) -fsyntax-only -I$(CORE_DIR)/include -x c++ Bindings/cpp/sluice.hpp

# Tests what programs in any language depend on: the symbols, the layouts, and what is installed.
.PHONY: test-abi abi
test-abi: deps-c deps-libevent ##tests the exported symbols and layouts, installing and uninstalling
	@Tools/need pkg-config cmake
	python3 -m unittest discover -s Tests/ABI

abi: deps-c lib ##tests update the lists that test-abi compares with
	python3 Tests/ABI/abi.py

# Tests the echo server in each language that is installed, and what each wrapper reports on misuse.
.PHONY: test-languages
test-languages: deps-c ##languages C, C++, Python, Rust, Go and Node.js: those that are installed
	@Tools/need pkg-config
	python3 -W error -m unittest discover -s Tests/Languages

# The package for Python, in an environment of its own. If something is not available, one line says that it is left out.
PYTHON_ENV := build/python
in_python_env = @Tools/python-env $(PYTHON_ENV) && code=0 || code=$$?; \
	if [ $$code -eq 77 ]; then exit 0; elif [ $$code -ne 0 ]; then exit $$code; fi; $(1)
STDLIB_TESTS := $(CURDIR)/$(PYTHON_ENV)/bin/python ../../Bindings/python/tests/stdlib.py

.PHONY: test-python test-python-asyncio test-python-others
test-python: deps-c ##languages the package for Python: its tests, its types by mypy, and CPython's own tests of selectors
	$(call in_python_env,cd $(PYTHON_ENV) && \
		bin/python -W error -m unittest discover -s ../../Bindings/python/tests && \
		bin/python -m mypy --strict --no-error-summary -p sluiceio && \
		$(STDLIB_TESTS) selectors)

test-python-asyncio: deps-c ##languages CPython's own tests of asyncio, on Sluice's event loop; two minutes
	$(call in_python_env,cd $(PYTHON_ENV) && $(STDLIB_TESTS) asyncio)

test-python-others: deps-c ##languages aiohttp and websockets on Sluice's event loop, every byte checked
	$(call in_python_env,cd $(PYTHON_ENV) && \
		if bin/python -m pip install --quiet --disable-pip-version-check aiohttp websockets; \
		then bin/python -W error ../../Bindings/python/tests/others.py; \
		else echo "aiohttp and websockets are left out: pip cannot have them"; fi)

# Tests other libraries on a loop, with real servers.
.PHONY: test-adapters
test-adapters: deps-c ##tests the adapters of Examples/c for hiredis and libcurl, with Redis and nginx
	@Tools/need pkg-config libhiredis-dev redis-server libcurl4-openssl-dev nginx-light
	python3 -W error -m unittest discover -s Tests/Adapters

# ---- Coverage -----------------------------------------------------------------------------------

# %c keeps the counters in the file all the time. So the counters of a child that ends by _exit count, too.
COVERAGE := build/coverage
COUNTING := -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation

.PHONY: coverage
coverage: deps-c deps-libevent deps-swift ##faults lines and branches of the core that its tests reach; MISSED=1 lists the rest
	@rm -rf $(COVERAGE)/profiles
	@LLVM_PROFILE_FILE=$(CURDIR)/$(COVERAGE)/profiles/%p%c.profraw $(MAKE) --no-print-directory test-c \
		CC=clang BUILD=$(COVERAGE) OPTIMIZE='-O1 -g' \
		SANITIZE='$(COUNTING)' >$(COVERAGE).log 2>&1 || { \
		cat $(COVERAGE).log; exit 1; }
	@Tools/coverage $(if $(MISSED),--missed) $(COVERAGE) $(CORE_TESTS:$(BUILD)/%=$(COVERAGE)/%)

# ---- Every backend in lockstep ------------------------------------------------------------------

# make test-c plays the first of these scripts. This target plays more, for pollers and for loops.
POLLER_SCRIPTS ?= 20000
LOOP_SCRIPTS ?= 5000
DIFFERENTIAL := $(BUILD)/Tests/Core/readiness/test_poller_differential \
	$(BUILD)/Tests/Core/loop/test_loop_differential

.PHONY: differential
differential: deps-c deps-libevent ##faults the same scripts on every backend, compared
	@$(MAKE) --no-print-directory $(DIFFERENTIAL)
	@Tests/beside 'SLUICE_SCRIPTS=$(POLLER_SCRIPTS) $(word 1,$(DIFFERENTIAL))' \
		'SLUICE_SCRIPTS=$(LOOP_SCRIPTS) $(word 2,$(DIFFERENTIAL))'

# ---- Fuzzing ------------------------------------------------------------------------------------

# libFuzzer comes with the clang of the Swift toolchain. FOR is in seconds, for each target.
FUZZERS := queue address slots timers loop
FUZZ := build/fuzz
FOR ?= 60

.PHONY: fuzz fuzz-programs
fuzz: deps-c deps-libevent deps-swift ##faults fuzz each target of Tests/Fuzz; FOR=seconds, FUZZERS=names
	@$(MAKE) --no-print-directory fuzz-programs CC=clang BUILD=$(FUZZ) OPTIMIZE='-O1 -g' \
		SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all'
	@Tests/Fuzz/run $(FOR) $(FUZZ) $(FUZZERS)

# Keeps as few scripts as possible that still reach everything that fuzzing has reached so far.
.PHONY: fuzz-corpus
fuzz-corpus:
	for target in $(FUZZERS); do \
		rm -rf Tests/Fuzz/corpus/$$target && mkdir Tests/Fuzz/corpus/$$target && \
		$(FUZZ)/Tests/Fuzz/$$target -set_cover_merge=1 -use_counters=0 -max_len=300 \
			Tests/Fuzz/corpus/$$target $(FUZZ)/corpus/$$target || exit 1; done

fuzz-programs: $(FUZZERS:%=$(BUILD)/Tests/Fuzz/%)

$(BUILD)/Tests/Fuzz/%: $(BUILD)/Tests/Fuzz/%.o $(TEST_SUPPORT) $(CORE_OBJECTS) $(LIBEVENT_OBJECT)
	@echo "LD $@"
	@$(CC) -fsanitize=fuzzer,address,undefined -fuse-ld=lld $(WRAP) -o $@ $^ $(TEST_LIBRARIES)

-include $(FUZZERS:%=$(BUILD)/Tests/Fuzz/%.d)

# ---- Swift --------------------------------------------------------------------------------------

# Everything here is built with libevent as a backend. A plain `swift build` is not.
TRAITS := --traits Libevent

SWIFT_SOURCES := Package.swift Programs Sources Tests Examples Benchmarks Integrations

.PHONY: build
build: programs ##work the Swift module and its programs, for debugging
	swift build $(TRAITS)

# Puts the programs into build, where README.md's commands find them. They are built for debugging, like those of the
# tests, so nothing is built twice. CONFIGURATION=release makes them fast.
PROGRAMS := sluice-echo $(addprefix article-,first-server queued-server complete-server client)
CONFIGURATION ?= debug

.PHONY: programs
programs: deps-swift deps-libevent ##use sluice-echo and the article's programs, in build; CONFIGURATION=release
	@echo "Building the programs. The first time takes about a minute."
	swift build $(TRAITS) --package-path Programs -c $(CONFIGURATION)
	@mkdir -p build
	@ln -sf $(PROGRAMS:%=../Programs/.build/$(CONFIGURATION)/%) build

.PHONY: test-swift
test-swift: deps-swift deps-libevent ##tests the tests of the Swift module, what must not compile, docs/swift.md and async.md
	swift test $(TRAITS) --disable-xctest
	@Tests/run-compile-failures .build
	python3 -W error -m unittest discover -s Tests/Swift

# Optimised, and with the libraries that bench-gate has built. This also tests each wait of a loop by itself.
.PHONY: test-large
test-large: deps-swift deps-libevent ##tests 1 GB through a slow reader and 5,000 connections at once, with tasks
	SLUICE_TEST_MEGABYTES=1024 SLUICE_TEST_CONNECTIONS=5000 swift test $(TRAITS) --disable-xctest \
		-c release --filter 'AsyncWriteTests/muchSlowly|AsyncReadTests/many|AsyncLoopTests|FramingTests/foreignBytes'

# Tests a package that depends on Sluice: it needs no libevent, and resolves no more than it must.
.PHONY: test-consumer
test-consumer: deps-swift deps-libevent ##tests a package that depends on Sluice: what it resolves, and that it needs no libevent
	@Tests/run-consumer $(BUILD)/consumer

# Tests packages as users write them, with each of the settings that such packages have.
.PHONY: test-clients
test-clients: deps-swift ##tests packages with and without upcoming features: no warning, and on the loop
	@Tests/run-clients $(BUILD)/clients

# Metrics and service lifecycle are in a package of their own.
.PHONY: test-integrations
test-integrations: deps-swift ##tests SluiceMetrics and SluiceLifecycle, with the packages that they are for
	swift test --disable-xctest --package-path Integrations

.PHONY: test-programs
test-programs: build ##tests the demo and the article's programs, from outside
	$(call run_python,Tests/Programs)

# Tests the programs of Examples/swift, built as a reader builds them, with clients that everybody has.
.PHONY: test-examples
test-examples: deps-swift ##tests Examples/swift, with nc, redis-cli, curl and ab
	@Tools/need netcat-openbsd redis-tools curl apache2-utils
	python3 -W error -m unittest discover -s Tests/Examples

# ---- Faults -------------------------------------------------------------------------------------

# A shared object in front of libc that makes system calls fail: see Tests/Faults/plan.h.
FAULTS_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard Tests/Faults/*.c))
$(FAULTS_OBJECTS): CFLAGS += -fvisibility=default

-include $(FAULTS_OBJECTS:.o=.d)

$(BUILD)/faults.so: $(FAULTS_OBJECTS)
	$(CC) -shared -o $@ $^ -ldl -lpthread

$(BUILD)/echo-server: Examples/c/server.c Tests/Faults/server/libevent.c $(BUILD)/libsluice-libevent.a \
		$(BUILD)/libsluice.a
	$(CC) -std=c11 $(WARNINGS) $(OPTIMIZE) -I$(CORE_DIR)/include -I$(LIBEVENT_DIR)/include -o $@ $^ \
		-levent_core

$(BUILD)/connect-by-name: Tests/Faults/names/names.c $(BUILD)/libsluice.a
	$(CC) -std=c11 $(WARNINGS) $(OPTIMIZE) -I$(CORE_DIR)/include -o $@ $^

.PHONY: test-shown
test-shown: programs ##tests what serve --watch shows in tmux, and --inspect in a browser; PICTURES=folder keeps pictures
	@Tools/need tmux chromium-headless-shell
	SLUICE_BIN=build python3 -W error -m unittest discover -s Tests/Shown

.PHONY: test-faults
test-faults: build deps-c deps-libevent ##tests servers, and the model of a loop, under injected faults
	@$(MAKE) --no-print-directory $(BUILD)/faults.so $(BUILD)/echo-server \
		$(BUILD)/connect-by-name $(BUILD)/Tests/Core/loop/test_loop_model
	$(call run_python,Tests/Faults)

.PHONY: soak compare-faults
soak: build deps-c deps-libevent ##faults echo load under faults, every byte compared; MINUTES=n
	@$(MAKE) --no-print-directory $(BUILD)/faults.so $(BUILD)/echo-server
	@Tests/Faults/soak.py $(or $(MINUTES),10)

compare-faults: build deps-c deps-libevent ##faults the table of faults: servers on Sluice and on libevent
	@$(MAKE) --no-print-directory $(BUILD)/faults.so $(BUILD)/echo-server \
		$(addprefix $(BENCH)/peer-libevent_,event bufferevent)
	@Tests/Faults/compare.py

# ---- All tests, and the demo --------------------------------------------------------------------

.PHONY: test-docs
test-docs: deps-c ##docs test links, figures and the programs of the tutorial, in seconds
	@Tools/need mandoc
	@$(MAKE) --no-print-directory $(BUILD)/libsluice.a $(MAN)
	BUILD=$(BUILD) python3 -W error -m unittest discover -s Tests/Docs

# The symbols of the Swift module come from the build that test-swift has made. BASE is the path at which the site will be
# served. DocC's pages have to know it.
BASE ?= /
SYMBOLS := $(BUILD)/symbols
SWIFT_TRIPLE = $(shell swift -print-target-info | python3 -c 'import json, sys; print(json.load(sys.stdin)["target"]["triple"])')

# The version is fixed, because Tools/site/python_pages.py changes how pdoc works.
PDOC := pdoc==16.0.0

.PHONY: docs test-site pdoc
pdoc:
	$(call in_python_env,$(PYTHON_ENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PDOC) || \
		echo "the reference for Python is left out: pip cannot have pdoc")

docs: deps-docs $(MAN) pdoc ##docs the site of all documentation, in build/docs; BASE=/path/ where it will be served
	swift build $(TRAITS) --target Sluice
	@mkdir -p $(SYMBOLS)
	swift symbolgraph-extract -module-name Sluice -target $(SWIFT_TRIPLE) -output-dir $(SYMBOLS) \
		-minimum-access-level public -skip-synthesized-members -I .build/debug/Modules \
		-I $(CORE_DIR)/include -I $(LIBEVENT_DIR)/include -I .build/checkouts/swift-system/Sources/CSystem/include
	Tools/site/write $(BUILD)/docs $(BUILD)/man $(SYMBOLS) $(BASE)
	@echo "To read it: python3 -m http.server --directory $(BUILD)/docs --bind 127.0.0.1 8000"

test-site: docs ##docs test the site, and each link in it
	BUILD=$(BUILD) python3 -W error -m unittest discover -s Tests/Site

# Two lanes run beside each other, because much of the time is waiting. What both need is made before: packages, and
# the libraries.
TEST_LANES := "test-header test-docs test-c test-python" \
	"test-swift test-programs"

.PHONY: test
test: deps-test lib lib-libevent ##work the tests, part by part; check also has those that take longer
	+@Tools/parts "make test" $(TEST_LANES)

.PHONY: demo
demo: programs ##use the echo server and client at work, over each backend
	@Tools/demo build/sluice-echo

# ---- Benchmarks ---------------------------------------------------------------------------------

# The programs that are counted and compared are built as they are shipped: see Benchmarks/README.md.
BENCH := build/bench
BENCH_CC = @mkdir -p $(BENCH); echo "CC $@"; $(CC) -std=c11 $(WARNINGS) -O2 -g \
	-I$(CORE_DIR)/include

$(BENCH)/load: Benchmarks/loads/load.c
	$(BENCH_CC) -o $@ $<

$(BENCH)/echo-c: Benchmarks/echo-c/echo.c $(BUILD)/libsluice.a
	$(BENCH_CC) -Wl,--gc-sections -o $@ $^

$(BENCH)/echo-c-one-file: Benchmarks/echo-c/echo.c $(ONE_FILE_OBJECT)
	$(BENCH_CC) -o $@ $^

$(BENCH)/bulk-c: Benchmarks/bulk/bulk.c $(BUILD)/libsluice.a
	$(BENCH_CC) -Wl,--gc-sections -o $@ $^

# This program is built to see its size.
$(BENCH)/echo-smallest: Benchmarks/echo-c/smallest.c $(BUILD)/libsluice.a
	$(BENCH_CC) -Wl,--gc-sections -o $@ $^

# With libevent as one of the backends.
WITH_LIBEVENT := -DWITH_LIBEVENT -I$(LIBEVENT_DIR)/include
$(BENCH)/echo-c-libevent: Benchmarks/echo-c/echo.c $(LIBEVENT_OBJECT) $(BUILD)/libsluice.a
	$(BENCH_CC) $(WITH_LIBEVENT) -o $@ $^ -levent_core

$(BENCH)/dispatch-poller-libevent: Benchmarks/dispatch/dispatch.c Benchmarks/dispatch/poller.c \
		$(LIBEVENT_OBJECT) $(BUILD)/libsluice.a
	$(BENCH_CC) $(WITH_LIBEVENT) -o $@ $^ -levent_core

# Linked from the core's objects, because the library hides the core's own names.
$(BENCH)/wheel: Benchmarks/wheel/wheel.c $(CORE_OBJECTS)
	$(BENCH_CC) -I$(CORE_DIR) -o $@ $^

# One program for each library, from a common file and one of its own.
define MEASURED
$(BENCH)/$(1)-%: Benchmarks/$(1)/$(1).c Benchmarks/$(1)/%.c Benchmarks/$(1)/$(1).h $(BUILD)/libsluice.a
	$$(BENCH_CC) -o $$@ $$(filter %.c %.a,$$^) -lpthread $$(LIBRARY_$$*)
endef
$(foreach kind,dispatch timers posts queue,$(eval $(call MEASURED,$(kind))))

# Stripped, because callgrind cannot read the debugging information of a newer compiler.
.PHONY: bench-swift
bench-swift: deps-swift deps-libevent
	@mkdir -p $(BENCH)
	swift build $(TRAITS) -c release --product echo-swift
	swift build $(TRAITS) -c release --product ready-swift
	swift build $(TRAITS) -c release --product frames-swift
	swift build $(TRAITS) -c release --product echo-async
	strip -o $(BENCH)/echo-swift .build/release/echo-swift
	strip -o $(BENCH)/ready-swift .build/release/ready-swift
	strip -o $(BENCH)/frames-swift .build/release/frames-swift
	strip -o $(BENCH)/echo-async .build/release/echo-async

# Echo servers and other programs on other libraries. A library that is not installed is left out.
having = $(shell echo '\#include <$(1)>' | $(CC) -E -x c - >/dev/null 2>&1 && echo $(2))
having_in_cpp = $(shell echo '\#include <$(1)>' | $(CXX) -E -x c++ - >/dev/null 2>&1 && echo $(2))
LIBEVENT = $(call having,event2/event.h,libevent)
LIBUV = $(call having,uv.h,libuv)
LIBEV = $(call having,ev.h,libev)
IO_URING = $(call having,liburing.h,io_uring)
ASIO = $(call having_in_cpp,asio.hpp,asio)
GO = $(shell command -v go >/dev/null && echo go)
LIBRARY_libevent := -levent_core -levent_pthreads
LIBRARY_libevent_event := -levent_core
LIBRARY_libevent_bufferevent := -levent_core
LIBRARY_evbuffer := -levent_core
LIBRARY_libuv := -luv
LIBRARY_libev := -lev
LIBRARY_io_uring := -luring
COMPARED = $(addprefix $(BENCH)/, \
	bulk-c peer-epoll_bulk $(addprefix peer-,epoll poll select $(if $(LIBEVENT),libevent_event libevent_bufferevent) $(LIBUV) $(LIBEV) \
		$(IO_URING) $(ASIO) $(GO)) \
	$(addprefix dispatch-,plain poller loop $(LIBEVENT) $(LIBEVENT:%=poller-%) $(LIBUV) $(LIBEV)) \
	$(addprefix timers-,sluice $(LIBEVENT) $(LIBUV) $(LIBEV)) \
	$(addprefix posts-,sluice eventfd $(LIBEVENT) $(LIBUV) $(LIBEV)) \
	$(addprefix queue-,sluice $(if $(LIBEVENT),evbuffer)))

$(BENCH)/peer-%: Benchmarks/peers/%.c Benchmarks/peers/peer.h
	$(BENCH_CC) -o $@ $< $(LIBRARY_$*)

$(BENCH)/peer-asio: Benchmarks/peers/asio.cpp
	@mkdir -p $(@D)
	@echo "CXX $@"
	@$(CXX) -std=c++17 $(WARNINGS) -O2 -g -DASIO_STANDALONE -o $@ $< -lpthread || \
		echo "Asio is left out: it could not be built"

$(BENCH)/peer-go: Benchmarks/peers/go/main.go
	@mkdir -p $(@D)
	@echo "GO $@"
	@GOCACHE=$(CURDIR)/build/languages/go-cache GO111MODULE=off go build -o $@ $< || \
		echo "Go net is left out: it could not be built"

# In packages of their own: Sluice's package never depends on theirs.
.PHONY: bench-nio bench-flyingsocks
bench-nio: deps-swift
	@mkdir -p $(BENCH)
	@swift build -c release --package-path Benchmarks/peers/nio --scratch-path build/nio && \
		strip -o $(BENCH)/peer-nio build/nio/release/nio-echo && \
		strip -o $(BENCH)/peer-nio-async build/nio/release/nio-async-echo || \
		echo "SwiftNIO is left out: it could not be built"

bench-flyingsocks: deps-swift
	@mkdir -p $(BENCH)
	@swift build -c release --package-path Benchmarks/peers/flyingsocks --scratch-path build/flyingsocks && \
		strip -o $(BENCH)/peer-flyingsocks build/flyingsocks/release/flyingsocks-echo || \
		echo "FlyingSocks is left out: it could not be built"

# One program for each event loop of Python, because a server is started by its name.
.PHONY: bench-python
bench-python: deps-c
	@mkdir -p $(BENCH)
	$(call in_python_env,$(PYTHON_ENV)/bin/python -m pip --quiet --disable-pip-version-check install uvloop; \
		for name in asyncio uvloop sluiceio; do \
			program=$(BENCH)/peer-$$name; rm -f $$program; \
			$(PYTHON_ENV)/bin/python -c "import $$name" 2>/dev/null || { echo "$$name is left out"; continue; }; \
			{ echo '#!$(CURDIR)/$(PYTHON_ENV)/bin/python'; cat Benchmarks/peers/protocol.py; } >$$program; \
			chmod +x $$program; done)

GATED := $(addprefix $(BENCH)/,load echo-c echo-c-one-file echo-smallest echo-c-libevent dispatch-poller dispatch-loop timers-sluice queue-sluice wheel)

.PHONY: bench-gate bench-ceilings
bench-gate: deps-gate bench-swift ##bench instructions and calls, compared with ceilings; ONLY=word for some
	@$(MAKE) --no-print-directory $(GATED)
	@Benchmarks/gate.py $(if $(ONLY),"$(ONLY)")

bench-ceilings: deps-gate bench-swift ##bench make the present counts the ceilings
	@$(MAKE) --no-print-directory $(GATED)
	@Benchmarks/gate.py --write $(if $(ONLY),"$(ONLY)")

.PHONY: bench bench-quick bench-programs
bench-programs: deps-bench bench-swift bench-nio bench-flyingsocks bench-python
	@$(MAKE) --no-print-directory $(GATED) $(COMPARED)

bench: bench-programs ##bench the comparison with others, in Benchmarks/report; nine minutes
	@python3 Benchmarks/bench.py

bench-quick: bench-programs ##bench the same in two minutes, rough, in build/bench/report
	@python3 Benchmarks/bench.py --quick

.PHONY: bench-bulk
bench-bulk: ##bench what much data costs, and who waits beside it, in build/bench/report; four minutes
	@$(MAKE) --no-print-directory $(addprefix $(BENCH)/,load echo-c bulk-c peer-epoll_bulk)
	@python3 Benchmarks/bench.py --only bulk --to $(BENCH)/report

# ---- Lint and sanitizers ------------------------------------------------------------------------

# Only our files, not those that Swift has checked out to build the examples.
find_ours = $(shell find $(1) \( -name .build -o -name target \) -prune -o -name '$(2)' -print | sort)
C_FILES := $(call find_ours,CSources Tests Benchmarks Examples,*.[ch])
TUTORIAL := $(call find_ours,Programs Tools,*.[ch])
NATIVE := $(wildcard Bindings/python/native/*.[ch] Bindings/node/native/*.[ch])
CXX_FILES := $(call find_ours,Examples Tests Bindings Benchmarks,*.[ch]pp)
RUST_FILES := $(call find_ours,Bindings,*.rs)
GO_FILES := $(call find_ours,Bindings Benchmarks,*.go)
SCRIPTS := .ci/run Tools/demo Tools/need Tools/parts Tools/python-env Tests/Fuzz/run Tests/beside Tests/run-compile-failures \
	Tests/run-consumer Tests/run-clients Tests/run-deb Packaging/build-deb

.PHONY: lint
lint: deps-lint ##work check formatting, static analysis, and which folder includes which
	Tools/layers
	clang-format --dry-run --Werror $(C_FILES) $(CXX_FILES) $(TUTORIAL) $(NATIVE)
	@# One file at a time: with several in one run the analyser loses track of a va_list.
	@printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -n 1 -P 2 sh -c \
		'clang-tidy --quiet "$$0" -- -std=c11 -I$(CORE_DIR)/include -I$(CORE_DIR) \
		$(TEST_INCLUDES) 2>/dev/null'
	swift format lint --strict --recursive $(SWIFT_SOURCES)
	shellcheck $(SCRIPTS)
	@# The other languages' own formatters, where they are installed.
	@! command -v rustfmt >/dev/null || rustfmt --check --edition 2021 $(RUST_FILES)
	@! command -v cargo-clippy >/dev/null || CARGO_TARGET_DIR=build/languages/rust \
		cargo clippy --quiet --offline --all-targets --manifest-path Bindings/rust/Cargo.toml -- -D warnings
	@! command -v gofmt >/dev/null || test -z "$$(gofmt -d $(GO_FILES) | tee /dev/stderr)"

.PHONY: format
format: deps-lint ##work do the formatting that lint asks for
	clang-format -i $(C_FILES) $(CXX_FILES) $(TUTORIAL) $(NATIVE)
	swift format --in-place --recursive $(SWIFT_SOURCES)
	@! command -v rustfmt >/dev/null || rustfmt --edition 2021 $(RUST_FILES)
	@! command -v gofmt >/dev/null || gofmt -w $(GO_FILES)

.PHONY: asan tsan
asan: deps-swift deps-libevent ##faults the tests under AddressSanitizer, leaks included, and UndefinedBehaviorSanitizer
	$(MAKE) test-c BUILD=build/asan SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all'
	swift test $(TRAITS) --disable-xctest --sanitize=address --scratch-path .build-asan
	@! test -f "$(NODE_HEADER)" || $(MAKE) --no-print-directory asan-node
	@$(MAKE) --no-print-directory asan-python

# This works in a copy. Node.js itself frees little when it ends, so the sanitizer does not look for leaks.
.PHONY: asan-node
asan-node: node-package ##languages the checks of the package for Node.js, with its addon under both sanitizers
	rm -rf $(BUILD)/asan-node
	cp -r Bindings/node $(BUILD)/asan-node
	$(MAKE) --no-print-directory -s -B -C $(BUILD)/asan-node \
		CFLAGS='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all'
	ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) \
		$$($(CC) -print-file-name=libubsan.so)" node $(BUILD)/asan-node/tests/checks.js

# CPython also frees little when it ends. Its own allocator would hide a use after free.
.PHONY: asan-python
BOTH_SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all
asan-python: deps-c ##faults the tests of the package for Python, with its extension under both sanitizers
	rm -rf $(BUILD)/asan-python
	$(call in_python_env,cd Bindings/python && \
		CFLAGS='-O1 -g $(BOTH_SANITIZERS)' \
		../../$(PYTHON_ENV)/bin/python setup.py -qq build --build-base ../../$(BUILD)/asan-python \
			--build-lib ../../$(BUILD)/asan-python/lib && \
		PYTHONPATH=$(abspath $(BUILD))/asan-python/lib PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		../../$(PYTHON_ENV)/bin/python -W error -m unittest discover -s tests)

# The tests of structured concurrency are left out, because the sanitizer does not see the locks of Swift's runtime.
tsan: deps-c deps-libevent ##faults the core's tests under ThreadSanitizer; and Go's race detector, if there is Go
	$(MAKE) test-c BUILD=build/tsan SANITIZE=-fsanitize=thread
	@! command -v go >/dev/null || $(MAKE) --no-print-directory race-go

# This is not part of check. ThreadSanitizer does not see Swift's Mutex, which is a futex, or the locks of the concurrency
# runtime. Core.send and Core.takeRemote hold a Mutex, so what the sanitizer reports on them is wrong.
.PHONY: tsan-swift
tsan-swift: deps-swift deps-libevent ##faults the Swift module's pulled layer under ThreadSanitizer, for a person to read
	swift test $(TRAITS) --disable-xctest --sanitize=thread --scratch-path .build-tsan \
		--skip AsyncTests --skip ServerLogTests --skip "in the child of a fork"

.PHONY: race-go
race-go: go-module ##languages the tests of the module for Go, with Go's race detector
	cd Bindings/go && GOCACHE=$(CURDIR)/build/languages/go-cache GOPROXY=off go test -race ./...

# The Swift toolchain has a clang. A second compiler finds what the first one misses. `make coverage` tests its build.
.PHONY: clang
clang: deps-c deps-swift deps-libevent ##faults the library and its headers, with a second compiler
	$(MAKE) test-header lib lib-libevent CC=clang CXX=clang++ BUILD=build/clang

# There are lanes as above. Each builds in a folder of its own. Counts of instructions are right even if the machine is
# busy. The libraries and the one file, which both need, are made before.
CHECK_LANES := "demo test-languages test-consumer test-clients test-integrations test-large bench-gate asan" \
	"test-abi test-faults test-examples test-one-file test-adapters test-python-asyncio test-python-others clang lint tsan coverage differential fuzz test-site test-shown"

.PHONY: check check-beyond
check: test check-beyond test-deb ##work everything that must pass

# FOR as given; else less than for the fuzzing alone.
check-beyond: lib lib-libevent amalgamation ##work what must pass beside the tests: counts, sanitizers, fuzzing for FOR seconds
	+@FOR=$(if $(filter file,$(origin FOR)),25,$(FOR)) Tools/parts "make check" $(CHECK_LANES)

# ---- What is needed -----------------------------------------------------------------------------

.PHONY: deps deps-test deps-c deps-libevent deps-swift deps-gate deps-bench deps-docs deps-lint
deps: deps-c deps-libevent deps-swift deps-gate deps-lint ##work install what is missing, from Debian's packages

# Everything that the parts of make test need.
deps-test: deps-swift
	@Tools/need gcc g++ binutils libc6-dev libcmocka-dev libevent-dev pkg-config mandoc

deps-c:
	@Tools/need gcc g++ binutils libc6-dev libcmocka-dev

deps-libevent:
	@Tools/need libevent-dev

deps-swift:
	@command -v swift >/dev/null || { \
		echo "Swift 6.2 or later is needed: see https://www.swift.org/install" >&2; exit 1; }

deps-gate:
	@Tools/need gcc binutils libc6-dev libevent-dev python3 valgrind strace

# If a language is installed already, and not from Debian, it is used.
.PHONY: deps-languages
deps-languages: deps-c ##languages install the languages that test-languages leaves out
	@command -v cargo >/dev/null || Tools/need rustc cargo
	@command -v go >/dev/null || Tools/need golang-go
	@command -v node >/dev/null || Tools/need nodejs
	@test -f "$$(node -p 'path.resolve(process.execPath, "../../include/node/node_api.h")')" || \
		Tools/need libnode-dev
	@python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		Tools/need python3-venv python3-dev
	@Tools/need pkg-config

# If a library to compare with is missing, it is left out.
deps-bench: deps-gate
	@for package in libevent-dev libuv1-dev libev-dev liburing-dev libasio-dev; do \
		Tools/need $$package || echo "left out: $$package"; done
	@command -v go >/dev/null || Tools/need golang-go || echo "left out: Go"

deps-docs: deps-swift deps-libevent
	@Tools/need doxygen pandoc mandoc

deps-lint: deps-swift
	@Tools/need clang-format clang-tidy shellcheck libevent-dev libuv1-dev libev-dev liburing-dev \
		libhiredis-dev libcurl4-openssl-dev

.PHONY: pages
pages: lib ##docs update what pages quote: figures, programs, messages, sluice-echo's man page
	Tools/figures
	Tools/messages
	Benchmarks/report.py Benchmarks/report
	BUILD=$(BUILD) Tools/pages
	@# The program is not built just for this.
	@[ ! -x build/sluice-echo ] || { build/sluice-echo --experimental-dump-help >build/sluice-echo.json && \
		Tools/man --echo build/sluice-echo.json >docs/man/sluice-echo.1; }

.PHONY: clean
clean: ##work remove what was built
	rm -rf build Bindings/rust/target $(CORE_IN_RUST) $(CORE_IN_GO) Bindings/python/build $(CORE_IN_PYTHON) \
		Bindings/node/build $(CORE_IN_NODE) \
		.build .build-asan .build-tsan Programs/.build Examples/swift/.build Integrations/.build

# The first command that somebody types here.
.PHONY: start
start:
	@echo "Sluice: I/O multiplexing in C and Swift. Start with one of these:"
	@echo
	@echo "  make demo      build the programs, and see them work (a minute)"
	@echo "  make test      run the tests; it says how far it is (minutes)"
	@echo "  make lib       build only the C library: build/libsluice.a and .so (seconds)"
	@echo "  make install   install it; PREFIX=/usr/local, which needs root"
	@echo "  make help      list all targets"
	@echo
	@echo "README.md says what Sluice is; docs/tutorial teaches select, poll and epoll."

# The groups of make help. Each target names its group after ##.
HELP := "use:To use Sluice" "languages:For other languages" "docs:Documentation" "work:To work on Sluice" \
	"tests:Parts of the tests" "faults:What finds more faults" "bench:Benchmarks"

.PHONY: help
help: ##work show this list
	@for group in $(HELP); do printf '\n%s\n' "$${group#*:}"; \
		awk -F " ##$${group%%:*} " '/^[a-z-]+:.* ##/ && NF > 1 { sub(":.*", "", $$1); \
			printf "  make %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST)); done
