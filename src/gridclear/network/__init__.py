"""The grid as arrays: conversion, compilation and storage, with injections and limits by period."""
