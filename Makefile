# SPDX-License-Identifier: GPL-2.0-only
#
# make            build the module for the running kernel (or KVER=<release>)
# make demo       see it at work, in a virtual machine
# make check      the test suite, in virtual machines (KERNELS="6.1 6.12")
# make bench      what claimed and stock maps cost (KERNELS, ROWS="hash*", REAL=1,
#                 CPUS=64)
# make fuzz       random operations on claimed and stock maps (KERNELS, SEED, OPS,
#                 REPLAY=file)
# make soak       everything at once, at random, for MINUTES (KERNELS, SEED)
# make lint       what the code has to pass besides
# make shell      a root shell in the test machine, module loaded (KERNEL=6.12)
# make install    install the module for KVER, and the command redirmap, its
#                 manual page and bash completion below PREFIX (/usr/local)
# make install-tools
#                 all but the module
# make uninstall, uninstall-tools
#                 undo the same
#
# DESTDIR is put in front of all that install writes (packages, images);
# INSTALL_MOD_PATH in front of the module's path alone.
#
# What a target needs from Debian it installs, once.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
KERNELS ?= 6.1 6.12
KERNEL ?= 6.12

BUILD = build/$(KVER)

all: modules

# Kbuild builds beside its sources; links to them let each kernel have a
# folder of its own.
modules:
	@scripts/lab/build-module $(KVER) $(BUILD)

check:
	@scripts/lab/check $(KERNELS)

demo:
	@scripts/lab/demo $(KERNEL)

bench:
	@scripts/lab/bench $(if $(REAL),--real "$(REAL)") $(if $(ROWS),--rows "$(ROWS)") \
		$(if $(CPUS),--cpus $(CPUS)) $(KERNELS)

fuzz:
	@scripts/lab/fuzz $(if $(SEED),--seed $(SEED)) $(if $(OPS),--ops $(OPS)) \
		$(if $(REPLAY),--replay "$(REPLAY)") $(KERNELS)

soak:
	@scripts/lab/soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(KERNELS)

lint:
	@scripts/lab/lint $(KERNELS)

shell:
	@scripts/lab/shell $(KERNEL)

PREFIX ?= /usr/local
INSTALL = scripts/command/install --destdir "$(DESTDIR)" --prefix "$(PREFIX)"
MODPATH = $(or $(INSTALL_MOD_PATH),$(DESTDIR))
MODULE = --module "$(BUILD)/redirmap.ko" --modpath "$(MODPATH)" --kernel "$(KVER)"

install: modules
	@$(INSTALL) $(MODULE) install

uninstall:
	@$(INSTALL) $(MODULE) uninstall

install-tools:
	@$(INSTALL) install

uninstall-tools:
	@$(INSTALL) uninstall

clean:
	rm -rf build

.PHONY: all modules check demo bench fuzz soak lint shell install clean
.PHONY: uninstall install-tools uninstall-tools
