# make demo     the echo server and client at work, over each backend
# make test     all tests, C and Swift
# make help     everything else
#
# What a target needs and this machine lacks, Tools/need installs from Debian's packages.

.DEFAULT_GOAL := help
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
CFLAGS_ALL = -std=c11 $(WARNINGS) $(OPTIMIZE) $(SANITIZE) -fPIC -fvisibility=hidden \
	-ffunction-sections -fdata-sections -ICSources/CSluice/include $(CFLAGS)

CORE_DIR := CSources/CSluice
CORE := $(wildcard $(CORE_DIR)/*.c $(CORE_DIR)/pollers/*.c)
CORE_OBJECTS := $(CORE:%.c=$(BUILD)/%.o)
C_FILES := $(shell find CSources Tests -name '*.[ch]' | sort)

# ---- The C library ------------------------------------------------------------------------------

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

-include $(CORE_OBJECTS:.o=.d)

# One object whose internal names are local, so that an archive exports no more than the shared
# library does.
$(BUILD)/sluice.o: $(CORE_OBJECTS)
	ld -r -o $@ $^
	objcopy --localize-hidden $@

$(BUILD)/libsluice.a: $(BUILD)/sluice.o
	rm -f $@
	ar rcs $@ $<

$(BUILD)/libsluice.so.$(VERSION): $(CORE_OBJECTS)
	$(CC) -shared $(SANITIZE) -Wl,-soname,libsluice.so.$(SOVERSION) -Wl,-z,defs -o $@ $^

$(BUILD)/libsluice.so: $(BUILD)/libsluice.so.$(VERSION)
	ln -sf $(<F) $(BUILD)/libsluice.so.$(SOVERSION)
	ln -sf libsluice.so.$(SOVERSION) $@

.PHONY: lib
lib: $(BUILD)/libsluice.a $(BUILD)/libsluice.so ## libsluice.a and libsluice.so

# ---- Tests in C ---------------------------------------------------------------------------------

# The allocator and the kernel's calls are made to fail by name, at link time.
WRAPPED := malloc calloc realloc syscall
WRAP := $(WRAPPED:%=-Wl,--wrap=%)
CORE_TESTS := $(patsubst Tests/Core/%.c,$(BUILD)/Tests/Core/%,$(wildcard Tests/Core/test_*.c))
TEST_SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(filter-out Tests/Core/test_%,$(wildcard Tests/Core/*.c)))

-include $(CORE_TESTS:=.d) $(TEST_SUPPORT:.o=.d)

$(BUILD)/Tests/Core/test_%: $(BUILD)/Tests/Core/test_%.o $(TEST_SUPPORT) $(CORE_OBJECTS)
	$(CC) $(SANITIZE) $(WRAP) -o $@ $^ -lcmocka -lpthread -lutil

.PHONY: deps-test-c test-c
deps-test-c:
	@Tools/need gcc libc6-dev libcmocka-dev

test-c: deps-test-c ## the tests of the core, without Swift
	@$(MAKE) --no-print-directory $(CORE_TESTS)
	@Tests/run-core $(CORE_TESTS)
